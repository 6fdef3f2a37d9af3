/** What h2load prints, as figures. */

import { BenchError } from '../bench-error.ts';

export interface H2loadResult {
  readonly requests: number;
  readonly elapsedMs: number;
}

/**
 * Throws {@link BenchError} if a request failed, or if the answers are not of `answerBytes` each: a gRPC call that
 * failed has status 200, too, and is known by its lack of a message.
 */
export function parseH2load(text: string, answerBytes: number): H2loadResult {
  const [, elapsed = '', unit = ''] = /^finished in ([\d.]+)(us|ms|s|m)\b/m.exec(text) ?? [];
  const [, done = '', succeeded = '', faults = ''] =
    /^requests: .* (\d+) done, (\d+) succeeded, (.*)$/m.exec(text) ?? [];
  const codes = /^status codes: (.*)$/m.exec(text)?.[1] ?? '';
  const bytes = /, \S+ \((\d+)\) data$/m.exec(text)?.[1];
  const result = {
    requests: Number(succeeded),
    elapsedMs: Number(elapsed) * (millisecondsPer[unit] ?? Number.NaN),
  };
  if (Object.values(result).some((value) => !(value > 0)) || bytes === undefined) {
    throw new BenchError('bench_output', `h2load printed ${JSON.stringify(text.slice(-600))}`);
  }
  if (done !== succeeded || faults !== noFaults || !noFaultCodes.test(codes)) {
    throw new BenchError('bench_answer', `h2load: ${succeeded} succeeded, ${faults}; ${codes}`);
  }
  // At the end of its time it may have read part of an answer more for each stream, but never less.
  if (Number(bytes) < result.requests * answerBytes) {
    const wanted = `${result.requests} answers of ${answerBytes} bytes`;
    throw new BenchError('bench_answer', `h2load: ${bytes} bytes are no ${wanted}`);
  }
  return result;
}

// There may be more of 2xx than succeeded: heads of answers that the end of the time cut off.
const noFaultCodes = /^\d+ 2xx, 0 3xx, 0 4xx, 0 5xx$/;
const noFaults = '0 failed, 0 errored, 0 timeout';
const millisecondsPer: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
