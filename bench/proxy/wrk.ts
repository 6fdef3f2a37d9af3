/** What wrk prints, as figures. */

import { BenchError } from '../bench-error.ts';

export interface WrkResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Throws {@link BenchError} if any answer was not a success, or a connection failed. */
export function parseWrk(text: string): WrkResult {
  const faults = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(text)?.[0];
  if (faults !== undefined) throw new BenchError('bench_answer', `wrk: ${faults}`);
  const [, requests = '', elapsed = ''] = /(\d+) requests in (\S+),/.exec(text) ?? [];
  // It pads a unit of one letter with a blank.
  const result = {
    requests: Number(requests),
    elapsedMs: milliseconds(elapsed),
    p50Ms: milliseconds(/^ +50% +(\S+) *$/m.exec(text)?.[1] ?? ''),
    p99Ms: milliseconds(/^ +99% +(\S+) *$/m.exec(text)?.[1] ?? ''),
  };
  if (Object.values(result).some((value) => !(value > 0))) {
    throw new BenchError('bench_output', `wrk printed ${JSON.stringify(text.slice(0, 400))}`);
  }
  return result;
}

function milliseconds(text: string): number {
  const [, amount = '', unit = ''] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  return Number(amount) * (millisecondsPer[unit] ?? Number.NaN);
}

const millisecondsPer: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
