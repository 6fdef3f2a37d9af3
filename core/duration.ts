/** Durations as people write them in config: `10s`, `5m`, `24h`, `365d`, `250ms`. */

/** Milliseconds of a duration text, or undefined if it is not one. Whole numbers and one unit only. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  const [, digits = '', unit = ''] = match;
  const factor = unitMs.get(unit);
  return factor === undefined ? undefined : Number(digits) * factor;
}

/** The shortest exact form with one or two units: `90000` → `1m30s`. */
export function formatDurationMs(durationMs: number): string {
  const parts: string[] = [];
  let rest = Math.max(0, Math.round(durationMs));
  for (const [unit, factor] of [...unitMs].toReversed()) {
    const count = Math.floor(rest / factor);
    if (count === 0) continue;
    parts.push(`${count}${unit}`);
    rest -= count * factor;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? '0s' : parts.join('');
}

const unitMs: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);
