import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { Deadlines } from '../net/deadlines.ts';
import { RequestClock } from './request-clock.ts';

function clockOf(): { time: ManualClock; clock: RequestClock; passed: string[] } {
  const time = new ManualClock(0);
  const passed: string[] = [];
  const clock = new RequestClock(new Deadlines(time), (which) => passed.push(which));
  return { time, clock, passed };
}

test('whichever is shortest passes first, and the others go on', async () => {
  const { time, clock, passed } = clockOf();
  clock.start('client', 9000);
  clock.start('request', 6000);
  clock.start('try', 3000);
  await time.advance(4000);
  expect(passed).toEqual(['try']);
  // The next try has its own time.
  clock.start('try', 3000);
  await time.advance(2500);
  expect(passed).toEqual(['try', 'request']);
  await time.advance(10_000);
  expect(passed.toSorted()).toEqual(['client', 'request', 'try', 'try']);
});

test('of two that pass together the one that leaves nothing to try is told', async () => {
  const { time, clock, passed } = clockOf();
  clock.start('try', 1000);
  clock.start('request', 1000);
  await time.advance(1250);
  expect(passed[0]).toBe('request');
});

test('what is stopped does not come', async () => {
  const { time, clock, passed } = clockOf();
  clock.start('try', 1000);
  clock.start('request', 3000);
  clock.stopTry();
  await time.advance(2000);
  expect(passed).toEqual([]);
  clock.stop();
  await time.advance(5000);
  expect(passed).toEqual([]);
});
