import { expect, test } from 'vitest';
import { WatchSource } from '../core/index.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { giveBackAtRest } from './rested-memory.ts';
import type { EntrySvid, EntrySvids } from './svid/entry-svid.ts';

function started() {
  const clock = new ManualClock(0);
  const moves = new WatchSource(0);
  const svids = new WatchSource<EntrySvids>(new Map());
  const sweeps: (string | undefined)[] = [];
  const memory = giveBackAtRest({ svids, moves, sweep: (how) => sweeps.push(how), clock });
  const come = (count: number): void => {
    for (let at = 0; at < count; at += 1) moves.set(moves.current() + 1);
  };
  return { clock, svids, sweeps, memory, come };
}

test('what the start took is given back once, when it is quiet', async () => {
  const { clock, sweeps, come } = started();
  await clock.advance(2000);
  come(1);
  await clock.advance(2000);
  expect(sweeps).toEqual([]);
  await clock.advance(2000);
  expect(sweeps).toEqual(['giveBack']);
  await clock.advance(3_600_000);
  expect(sweeps).toEqual(['giveBack']);
});

test.for([
  { count: 99, sweeps: 1 },
  { count: 100, sweeps: 2 },
])('$count callers that came and went make $sweeps', async ({ count, sweeps: expected }) => {
  const { clock, sweeps, come } = started();
  await clock.advance(4000);
  come(count);
  await clock.advance(4000);
  expect(sweeps).toHaveLength(expected);
});

test('as long as callers come nothing stops the agent', async () => {
  const { clock, sweeps, come } = started();
  for (let at = 0; at < 60; at += 1) {
    come(10);
    await clock.advance(1000);
  }
  expect(sweeps).toEqual([]);
  await clock.advance(4000);
  expect(sweeps).toHaveLength(1);
});

test('certificates count as callers do, and those that stayed do not', async () => {
  const { clock, svids, sweeps } = started();
  await clock.advance(4000);
  const held = { entryId: 'one' } as EntrySvid;
  const first = new Map(Array.from({ length: 150 }, (_, at) => [String(at), held]));
  svids.set(first);
  await clock.advance(4000);
  expect(sweeps).toHaveLength(2);
  svids.set(new Map(first));
  await clock.advance(4000);
  expect(sweeps).toHaveLength(2);
});

test('closed, it sweeps no more', async () => {
  const { clock, sweeps, memory } = started();
  await memory.close();
  await clock.advance(60_000);
  expect(sweeps).toEqual([]);
});
