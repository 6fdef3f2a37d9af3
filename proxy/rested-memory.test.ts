import { expect, test } from 'vitest';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { RestedMemory } from './rested-memory.ts';

function resting(): {
  clock: ManualClock;
  memory: RestedMemory;
  read: (bytes: number) => void;
  count: () => number;
} {
  const clock = new ManualClock(0);
  let total = 0;
  let givenBack = 0;
  const memory = new RestedMemory({
    clock,
    total: () => total,
    giveBack: () => {
      givenBack += 1;
    },
  });
  return { clock, memory, read: (bytes) => (total += bytes), count: () => givenBack };
}

test('what the start took is given back once, after a rest', async () => {
  const { clock, count } = resting();
  await clock.advance(1999);
  expect(count()).toBe(0);
  await clock.advance(1);
  expect(count()).toBe(1);
  await clock.advance(60_000);
  expect(count()).toBe(1);
});

test('after much work it is given back again, but not while bytes come', async () => {
  const { clock, memory, read, count } = resting();
  await clock.advance(2000);
  memory.didMuch();
  for (let second = 0; second < 10; second += 1) {
    read(100_000);
    memory.didMuch();
    await clock.advance(1000);
  }
  expect(count()).toBe(1);
  await clock.advance(4000);
  expect(count()).toBe(2);
});

test('probes are no work', async () => {
  const { clock, memory, read, count } = resting();
  memory.didMuch();
  read(2000);
  await clock.advance(2000);
  expect(count()).toBe(1);
});

test('a proxy that is closed gives nothing back', async () => {
  const { clock, memory, count } = resting();
  await memory.close();
  await clock.advance(10_000);
  expect(count()).toBe(0);
});
