import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { PushTurns } from './push-turns.ts';

test('streams that wake together are served some in each turn, in their order, and all of them', async () => {
  const turns = new PushTurns();
  const served: number[] = [];
  const all = Array.from({ length: 70 }, async (_, at) => {
    await turns.take();
    served.push(at);
  });
  await Promise.resolve();
  expect(served).toHaveLength(32);
  await Promise.all(all);
  expect(served).toEqual(Array.from({ length: 70 }, (_, at) => at));
  await turn();
  await turns.take();
});
