import { expect, test } from 'vitest';
import { type Logger, silentLogger } from '../../core/index.ts';
import { settle } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { openClockGuard } from './clock-guard.ts';

const noon = Date.UTC(2026, 5, 1, 12);
const minute = 60_000;

async function setUp() {
  const store = new MemoryStore();
  const time = { wall: noon, mono: 0 };
  const clock = {
    wallMs: () => time.wall,
    monotonicMs: () => time.mono,
    after: () => ({ cancel() {} }),
  };
  const lines: string[] = [];
  const tell = (message: string): void => void lines.push(message);
  const stored = async (): Promise<number> =>
    Number(new TextDecoder().decode((await store.get('settings/clock-high'))?.value));
  const log: Logger = { ...silentLogger, warn: tell, error: tell };
  const open = () =>
    openClockGuard({ store, clock, log, toleranceMs: 5000, issuingMs: 1440 * minute });
  const pass = (ms: number): void => {
    time.wall += ms;
    time.mono += ms;
  };
  return { store, time, lines, open, pass, stored, guard: await open() };
}

test('a clock that runs, stands or goes back a little is right', async () => {
  const { guard, pass, time } = await setUp();
  expect(guard.fault()).toBeUndefined();
  pass(minute);
  expect(guard.fault()).toBeUndefined();
  time.wall -= 5000;
  expect(guard.fault()).toBeUndefined();
});

test('one that goes back further is refused with both times, told once, and right again by itself', async () => {
  const { guard, pass, time, lines } = await setUp();
  guard.fault();
  time.wall -= 10 * minute;
  const fault = guard.fault();
  expect(fault).toMatchObject({ code: 'clock_backwards', kind: 'unavailable' });
  expect(fault?.message).toContain('2026-06-01T11:50:00.000Z');
  expect(fault?.message).toContain('2026-06-01T12:00:00.000Z');
  expect(guard.fault()).toBeDefined();
  expect(lines).toEqual(['no certificates are issued']);
  time.wall += 10 * minute;
  pass(1);
  expect(guard.fault()).toBeUndefined();
  expect(lines.at(-1)).toMatch('right again');
});

test('what was seen outlives a restart, in steps', async () => {
  const { guard, open, time } = await setUp();
  guard.fault();
  await settle();
  time.wall -= minute;
  expect((await open()).fault()).toMatchObject({ code: 'clock_backwards' });
  time.wall += minute;
  expect((await open()).fault()).toBeUndefined();
});

test('a jump ahead is told and not refused; its return is no fault, and is remembered', async () => {
  const { guard, open, pass, time, lines } = await setUp();
  guard.fault();
  time.wall += 600 * minute;
  expect(guard.fault()).toBeUndefined();
  expect(lines).toEqual(['the clock has jumped ahead']);
  await settle();
  pass(minute);
  time.wall -= 600 * minute;
  expect(guard.fault()).toBeUndefined();
  expect(lines.at(-1)).toMatch('come back from a jump');
  await settle();
  expect((await open()).fault()).toBeUndefined();
  // Back beyond that is a fault again.
  time.wall -= 10 * minute;
  expect(guard.fault()).toBeDefined();
});

test('a store that cannot be written takes nothing from the guard but its memory', async () => {
  const { store, guard, lines, time } = await setUp();
  store.failWith(new Error('full'));
  expect(guard.fault()).toBeUndefined();
  await settle();
  expect(lines).toEqual(['the highest time seen could not be stored']);
  time.wall -= minute;
  expect(guard.fault()).toBeDefined();
});

test('a jump ahead is believed for one thing sooner than for another, by how long it stands', async () => {
  const { guard, pass, time } = await setUp();
  expect(guard.trust()).toBe('sure');
  time.wall += 600 * minute;
  expect(guard.trust()).toBe('doubtful');
  expect(guard.doubt('doubtful')).toBeUndefined();
  expect(guard.doubt('settled')?.message).toBe(
    'the clock says 2026-06-01T22:00:00.000Z, where 2026-06-01T12:00:00.000Z was the time by what was known: ' +
      'it is relied on for this if it stands for 10m more',
  );
  pass(10 * minute);
  expect(guard.trust()).toBe('settled');
  expect(guard.doubt('settled')).toBeUndefined();
  expect(guard.doubt('sure')).toMatchObject({ code: 'clock_ahead', kind: 'unavailable' });
  pass(50 * minute);
  expect(guard.trust()).toBe('sure');
  expect(guard.doubt('sure')).toBeUndefined();
});

test('a jump on top of one that is not believed is judged by what was known before both', async () => {
  const { guard, pass, time } = await setUp();
  guard.trust();
  time.wall += 60 * minute;
  guard.trust();
  pass(9 * minute);
  time.wall += 60 * minute;
  expect(guard.trust()).toBe('doubtful');
  pass(9 * minute);
  expect(guard.trust()).toBe('doubtful');
  time.wall -= 120 * minute;
  expect(guard.trust()).toBe('sure');
});

test('while a jump is not believed the clock may be set back part of the way: that begins the wait anew', async () => {
  const { guard, pass, time } = await setUp();
  guard.trust();
  time.wall += 600 * minute;
  guard.trust();
  pass(9 * minute);
  time.wall -= 300 * minute;
  expect(guard.fault()).toBeUndefined();
  expect(guard.trust()).toBe('doubtful');
  pass(9 * minute);
  expect(guard.trust()).toBe('doubtful');
  pass(minute);
  expect(guard.trust()).toBe('settled');
  // What is believed is a time like any other: behind it the clock is wrong.
  time.wall -= 100 * minute;
  expect(guard.trust()).toBe('wrong');
  expect(guard.doubt('doubtful')).toMatchObject({ code: 'clock_backwards' });
});

test('the right time after a clock that was behind is no jump ahead', async () => {
  const { guard, pass, time } = await setUp();
  guard.trust();
  time.wall -= 60 * minute;
  pass(minute);
  expect(guard.trust()).toBe('wrong');
  time.wall += 60 * minute;
  expect(guard.trust()).toBe('sure');
});

test('a start after a while is a jump too, and a start soon after is none', async () => {
  const { guard, open, pass } = await setUp();
  guard.trust();
  await settle();
  pass(14_000);
  expect((await open()).trust()).toBe('sure');
  await settle();
  pass(600 * minute);
  const later = await open();
  expect(later.trust()).toBe('doubtful');
  pass(10 * minute);
  expect(later.trust()).toBe('settled');
});

test('a time that is not believed is not written down; one that is, is, to the moment, when it is closed', async () => {
  const { guard, pass, time, stored } = await setUp();
  guard.trust();
  await settle();
  expect(await stored()).toBe(noon);
  time.wall += 60 * minute;
  guard.trust();
  await guard.close();
  expect(await stored()).toBe(noon);
  pass(10 * minute + 1234);
  await guard.close();
  expect(await stored()).toBe(time.wall);
});

test('a store that fails is not asked again at each look', async () => {
  const { store, guard, lines, pass } = await setUp();
  store.failWith(new Error('full'));
  for (let look = 0; look < 10; look += 1) {
    guard.trust();
    await settle();
    pass(500);
  }
  expect(lines).toHaveLength(1);
  pass(minute);
  guard.trust();
  await settle();
  expect(lines).toHaveLength(2);
});
