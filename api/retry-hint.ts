/** When to try again, inside the detail of one refused item: a batch has one set of trailers only. */

/** The detail with the hint at its end. */
export function withRetryHint(detail: string, retryAfterMs: number): string {
  return `${detail}; retry in ${Math.ceil(retryAfterMs)} ms`;
}

/** The hint of a detail, or undefined if it has none. */
export function retryHintOf(detail: string): number | undefined {
  const digits = /; retry in (\d{1,9}) ms$/.exec(detail)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
