import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { Deadlines, type Expiring, never, sweepMs } from './deadlines.ts';

class Member implements Expiring {
  deadlineMs = never;
  expiries = 0;
  onDeadline(): void {
    this.expiries += 1;
  }
}

test('a deadline is never early, and at most a sweep and a half late', async () => {
  const clock = new ManualClock(0);
  const deadlines = new Deadlines(clock);
  const member = new Member();
  deadlines.add(member);
  // Set in the middle between two sweeps, where the clock of the last one is oldest.
  await clock.advance(sweepMs - 1);
  member.deadlineMs = deadlines.in(1000);
  await clock.advance(1000);
  expect(member.expiries).toBe(0);
  await clock.advance(1.5 * sweepMs);
  expect(member.expiries).toBe(1);
  await clock.advance(10_000);
  expect(member.expiries).toBe(1);
});

test('a deadline that is moved, taken back, or whose member is gone does not come', async () => {
  const clock = new ManualClock(0);
  const deadlines = new Deadlines(clock);
  const [moved, cleared, gone] = [new Member(), new Member(), new Member()] as const;
  for (const member of [moved, cleared, gone]) {
    deadlines.add(member);
    member.deadlineMs = deadlines.in(500);
  }
  await clock.advance(400);
  moved.deadlineMs = deadlines.in(5000);
  cleared.deadlineMs = never;
  deadlines.delete(gone);
  await clock.advance(2000);
  expect([moved, cleared, gone].map(({ expiries }) => expiries)).toEqual([0, 0, 0]);
  await clock.advance(5000);
  expect(moved.expiries).toBe(1);
});

test('a member added after a quiet time begins at the right moment', async () => {
  const clock = new ManualClock(0);
  const deadlines = new Deadlines(clock);
  const first = new Member();
  deadlines.add(first);
  deadlines.delete(first);
  await clock.advance(100_000);
  const second = new Member();
  deadlines.add(second);
  second.deadlineMs = deadlines.in(1000);
  await clock.advance(1000);
  expect(second.expiries).toBe(0);
  await clock.advance(1000);
  expect(second.expiries).toBe(1);
});
