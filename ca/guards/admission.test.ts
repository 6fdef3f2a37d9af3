import { expect, test } from 'vitest';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import { Admission, type AdmissionOptions } from './admission.ts';
import { RateLimit } from '../../core/index.ts';

const setUp = (more: Partial<AdmissionOptions> = {}) => {
  const clock = new ManualClock(0);
  const admission = new Admission({
    clock,
    total: { perSecond: 1000, burst: 1000 },
    perCaller: { perSecond: 1000, burst: 1000 },
    runningMax: 1000,
    beginPerTurnMax: 1000,
    queueMax: 100,
    queuePerCallerMax: 50,
    ...more,
  });
  const done: string[] = [];
  const ask = (caller: string): Promise<void> =>
    admission.run(caller, async () => void done.push(caller));
  return { clock, admission, done, ask };
};

test('a bucket gives its burst at once and then its rate, whatever the pauses', () => {
  const clock = { ms: 0, monotonicMs: () => clock.ms };
  const limit = new RateLimit(clock, { perSecond: 10, burst: 5 });
  expect([1, 2, 3, 4, 5].map(() => limit.take(1))).toEqual([0, 0, 0, 0, 0]);
  expect(limit.take(1)).toBe(100);
  clock.ms += 99;
  expect(limit.take(1)).toBeCloseTo(1);
  clock.ms += 1.001;
  expect(limit.take(1)).toBe(0);
  clock.ms += 60_000;
  expect(limit.isFull()).toBe(true);
  expect([1, 2, 3, 4, 5, 6].map(() => limit.take(1) === 0)).toEqual([
    true,
    true,
    true,
    true,
    true,
    false,
  ]);
});

test('a burst begins in turns of the event loop, and others get theirs in between', async () => {
  const { done, ask } = setUp({ beginPerTurnMax: 8 });
  const asked = Array.from({ length: 20 }, () => ask('burst'));
  const seen: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    seen.push(done.length);
  }
  // The first turn ends before a task that began in it was awaited; what counts is that none begins all.
  expect(seen[0]).toBeLessThanOrEqual(16);
  expect(seen).toEqual(seen.toSorted((left, right) => left - right));
  await Promise.all(asked);
  expect(done).toHaveLength(20);
});

test('over its own rate a caller waits, and the others do not wait for it', async () => {
  const { clock, done, ask } = setUp({ perCaller: { perSecond: 10, burst: 2 } });
  const all = [ask('mad'), ask('mad'), ask('mad'), ask('mad'), ask('calm')];
  await settle();
  expect(done).toEqual(['mad', 'mad', 'calm']);
  await clock.advance(200);
  expect(done).toEqual(['mad', 'mad', 'calm', 'mad', 'mad']);
  await Promise.all(all);
});

test('over the rate of all, callers take turns', async () => {
  const { clock, done, ask } = setUp({ total: { perSecond: 10, burst: 1 } });
  for (const caller of ['a', 'a', 'a', 'b', 'c']) void ask(caller);
  await clock.advance(1000);
  expect(done.slice(0, 4).toSorted()).toEqual(['a', 'a', 'b', 'c']);
  expect(done.length).toBe(5);
});

test('no more are under way than are allowed; one that fails makes room too', async () => {
  const { admission } = setUp({ runningMax: 2 });
  let running = 0;
  let most = 0;
  const one = (index: number): Promise<void> =>
    admission.run('a', async () => {
      running += 1;
      most = Math.max(most, running);
      await settle();
      running -= 1;
      if (index === 0) throw new Error('a task that fails');
    });
  const outcomes = await Promise.allSettled([0, 1, 2, 3, 4].map(one));
  expect(outcomes.map(({ status }) => status)).toEqual([
    'rejected',
    'fulfilled',
    'fulfilled',
    'fulfilled',
    'fulfilled',
  ]);
  expect(most).toBe(2);
});

test('over the bound a caller is told at once, and when to come again; the others still get in', async () => {
  const { clock, admission, done, ask } = setUp({
    perCaller: { perSecond: 10, burst: 1 },
    queuePerCallerMax: 3,
  });
  const waiting = [ask('mad'), ask('mad'), ask('mad'), ask('mad')];
  await expect(ask('mad')).rejects.toMatchObject({
    code: 'overloaded',
    kind: 'resource_exhausted',
    retryAfterMs: 150,
  });
  expect(admission.refused()).toBe(1);
  await ask('calm');
  expect(done).toEqual(['mad', 'calm']);
  await clock.advance(400);
  await Promise.all(waiting);
  expect(admission.depth()).toBe(0);
});
