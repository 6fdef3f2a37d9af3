import { expect, test } from 'vitest';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { CaStandings } from './ca-standing.ts';

test('the link stands since it changed its kind, whatever reasons come and go', async () => {
  const clock = new ManualClock(1000);
  const standings = new CaStandings(clock);
  const now = () => standings.standing.current();
  await expect(standings.joining(Promise.reject(new Error('no route')))).rejects.toThrow();
  expect(now()).toEqual({ kind: 'joining', sinceMs: 1000, reason: 'no route' });
  await clock.advance(10);
  standings.connected();
  expect(now()).toEqual({ kind: 'connected', sinceMs: 1010 });
  await clock.advance(10);
  standings.away('broken');
  await clock.advance(10);
  standings.away('refused');
  expect(now()).toEqual({ kind: 'away', sinceMs: 1020, reason: 'refused' });
  // Joining again while it is away is part of being away.
  await expect(standings.joining(Promise.reject(new Error('no')))).rejects.toThrow();
  expect(now().kind).toBe('away');
  standings.refused(new Error('shut out'));
  standings.connected();
  expect(now()).toMatchObject({ kind: 'refused', reason: 'shut out' });
});
