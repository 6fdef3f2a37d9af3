import { expect, test } from 'vitest';
import type { Closable } from '../core/index.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { giveBackOnce } from './start-memory.ts';

interface Started {
  readonly clock: ManualClock;
  readonly memory: Closable;
  readonly read: (bytes: number) => void;
  readonly count: () => number;
}

function started(): Started {
  const clock = new ManualClock(0);
  let bytes = 0;
  let givenBack = 0;
  const memory = giveBackOnce({
    clock,
    total: () => bytes,
    giveBack: () => {
      givenBack += 1;
    },
  });
  const read = (more: number): void => {
    bytes += more;
  };
  return { clock, memory, read, count: () => givenBack };
}

test('what the start took is given back once, after a rest', async () => {
  const { clock, read, count } = started();
  await clock.advance(1999);
  expect(count()).toBe(0);
  await clock.advance(1);
  expect(count()).toBe(1);
  read(100_000_000);
  await clock.advance(60_000);
  expect(count()).toBe(1);
});

test('a proxy with work from its start keeps it until it rests', async () => {
  const { clock, read, count } = started();
  for (let second = 0; second < 10; second += 1) {
    read(100_000);
    await clock.advance(1000);
  }
  expect(count()).toBe(0);
  await clock.advance(4000);
  expect(count()).toBe(1);
});

test('probes are no work', async () => {
  const { clock, read, count } = started();
  read(2000);
  await clock.advance(2000);
  expect(count()).toBe(1);
});

test('a proxy that is closed gives nothing back', async () => {
  const { clock, memory, count } = started();
  await memory.close();
  await clock.advance(10_000);
  expect(count()).toBe(0);
});
