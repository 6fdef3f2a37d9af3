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
  const log: Logger = { ...silentLogger, warn: tell, error: tell };
  const open = () => openClockGuard({ store, clock, log, toleranceMs: 5000 });
  const pass = (ms: number): void => {
    time.wall += ms;
    time.mono += ms;
  };
  return { store, time, lines, open, pass, guard: await open() };
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
