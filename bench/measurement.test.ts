import { expect, test } from 'vitest';
import { type Candidate, measureInRounds } from './measurement.ts';

function counting(name: string, log: string[], values: readonly number[]): Candidate {
  let calls = 0;
  return {
    name,
    async measure() {
      log.push(name);
      return [{ row: name, figures: { cost: values[calls++] ?? 0 } }];
    },
  };
}

test('after a first run that does not count candidates take turns, every other round backwards', async () => {
  const log: string[] = [];
  const candidates = [counting('a', log, [99, 1, 2, 6]), counting('b', log, [99, 5, 5, 5])];
  const rows = await measureInRounds(candidates, { rounds: 3, seconds: 0, progress: () => {} });
  expect(log.join('')).toBe('ababbaab');
  expect(rows).toEqual([
    { name: 'a', figures: { cost: { median: 2, min: 1, max: 6 } } },
    { name: 'b', figures: { cost: { median: 5, min: 5, max: 5 } } },
  ]);
});

test('a candidate may give several rows, and a figure may be missing from some samples', async () => {
  let round = 0;
  const candidate: Candidate = {
    name: 'both',
    warmsUp: false,
    async measure() {
      round += 1;
      return [
        { row: 'sign', figures: { cost: round } },
        { row: 'verify', figures: round === 1 ? { cost: 9 } : { cost: 9, extra: 4 } },
      ];
    },
  };
  const rows = await measureInRounds([candidate], { rounds: 2, seconds: 0, progress: () => {} });
  expect(rows.map((row) => row.name)).toEqual(['sign', 'verify']);
  expect(rows[1]?.figures['extra']).toEqual({ median: 4, min: 4, max: 4 });
});

test('each round is told with its number and samples', async () => {
  const told: string[] = [];
  await measureInRounds([counting('a', [], [99, 3, 4])], {
    rounds: 2,
    seconds: 0,
    progress: (round, samples) => told.push(`${round}: ${samples[0]?.figures['cost']}`),
  });
  expect(told).toEqual(['1: 3', '2: 4']);
});
