import { expect, test } from 'vitest';
import { inProcess, perOperation } from './in-process.ts';

test('cost and rate say the same', () => {
  expect(perOperation(50_000, 1000)).toEqual({
    cpuMicrosPerOperation: 50,
    operationsPerCpuSecond: 20_000,
  });
});

test('as many runs as asked for are under way at once, each with its own number', async () => {
  const seen = new Set<number>();
  let active = 0;
  let most = 0;
  const candidate = inProcess({
    name: 'wait',
    inFlight: 3,
    async run(at) {
      seen.add(at);
      active += 1;
      most = Math.max(most, active);
      await Promise.resolve();
      active -= 1;
    },
  });
  const [sample] = await candidate.measure(0);
  expect(most).toBe(3);
  expect([...seen]).toEqual([0, 1, 2, 3, 4, 5]);
  expect(Object.keys(sample?.figures ?? {})).toEqual([
    'cpuMicrosPerOperation',
    'operationsPerCpuSecond',
  ]);
});
