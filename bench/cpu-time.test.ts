import { expect, test } from 'vitest';
import { BenchError } from './bench-error.ts';
import { processCpuMicros, residentMiB, schedstatMicros, statMicros } from './cpu-time.ts';

test('schedstat is read in nanoseconds', () => {
  expect(schedstatMicros('56971530 7577242 142\n')).toBeCloseTo(56_971.53);
  expect(() => schedstatMicros('')).toThrow(BenchError);
});

test('stat is read in ticks, whatever the name of the program', () => {
  const line = (name: string) => `7 (${name}) S 1 7 7 0 -1 4194560 49 58 0 44 12 30 243 13 20 0 1`;
  expect(statMicros(line('node'))).toBe(420_000);
  expect(statMicros(line('a b) S (c'))).toBe(420_000);
  expect(() => statMicros('7 (node) S')).toThrow(BenchError);
});

test.runIf(process.platform === 'linux')('a process uses CPU time and memory', () => {
  const before = processCpuMicros(process.pid);
  for (let count = 0; count < 1e6; count += 1) Math.hypot(count, 1);
  expect(processCpuMicros(process.pid)).toBeGreaterThanOrEqual(before);
  expect(before).toBeGreaterThan(0);
  expect(residentMiB(process.pid)).toBeGreaterThan(1);
});
