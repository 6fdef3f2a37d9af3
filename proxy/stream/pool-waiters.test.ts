import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { Deadlines } from '../net/deadlines.ts';
import type { PoolWaiter } from './pool.ts';
import { PoolWaiters, waitersMax } from './pool-waiters.ts';

class Waiter implements PoolWaiter {
  readonly told: string[] = [];
  onConnection(): void {}
  onNoConnection(code: string): void {
    this.told.push(code);
  }
}

function queue(msMax: number): { clock: ManualClock; waiters: PoolWaiters; late: () => number } {
  const clock = new ManualClock(0);
  let late = 0;
  const waiters = new PoolWaiters(new Deadlines(clock), msMax, () => {
    late += 1;
  });
  return { clock, waiters, late: () => late };
}

test('each waits for its own time, and whoever is served is not told that it was late', async () => {
  const { clock, waiters, late } = queue(10_000);
  const [served, first, second] = [new Waiter(), new Waiter(), new Waiter()] as const;
  waiters.add(served);
  waiters.add(first);
  await clock.advance(5000);
  waiters.add(second);
  expect(waiters.take()).toBe(served);
  await clock.advance(5500);
  expect([served.told, first.told, second.told]).toEqual([[], ['late'], []]);
  await clock.advance(5500);
  expect(second.told).toEqual(['late']);
  expect([late(), waiters.count]).toEqual([2, 0]);
});

test('who is taken back is told nothing', async () => {
  const { clock, waiters } = queue(1000);
  const [gone, other] = [new Waiter(), new Waiter()] as const;
  waiters.add(gone);
  waiters.add(other);
  waiters.cancel(gone);
  waiters.cancel(gone);
  await clock.advance(5000);
  expect([gone.told, other.told]).toEqual([[], ['late']]);
});

test('a refusal of all is for those who wait, and not for who asks again at once', () => {
  const { waiters } = queue(1000);
  const again = new Waiter();
  again.onNoConnection = (code) => {
    again.told.push(code);
    waiters.add(again);
  };
  const other = new Waiter();
  waiters.add(again);
  waiters.add(other);
  waiters.refuseAll('connect', 'gone');
  expect([again.told, other.told]).toEqual([['connect'], ['connect']]);
  expect(waiters.count).toBe(1);
});

test('so many wait and no more', () => {
  const { waiters } = queue(1000);
  for (let count = 0; count < waitersMax; count += 1) expect(waiters.add(new Waiter())).toBe(true);
  expect(waiters.add(new Waiter())).toBe(false);
  waiters.take();
  expect(waiters.add(new Waiter())).toBe(true);
});
