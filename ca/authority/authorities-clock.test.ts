import { createSecretKey, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger, systemRandom } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import type { Actor } from '../audit/event.ts';
import { type ClockGuard, openClockGuard } from '../guards/clock-guard.ts';
import { openSerials } from '../issuance/serial.ts';
import { leafValidity } from '../issuance/validity.ts';
import { type Authorities, openAuthorities } from './authorities.ts';
import { openJwtKeys, type RotatingJwtKeys } from './jwt-keys.ts';
import { createKeyStore } from './key-store.ts';
import { defaultLifetimes } from './lifetimes.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const operator: Actor = { kind: 'admin', id: 'uid:0 pid:1', uid: 0, pid: 1 };
const everybody = () => ({ nodes: 1, nodesApplied: 1, subscribers: 0, acknowledged: 0 });
const trustDomain = parseTrustDomain('mesh.test');

let store: MemoryStore;
let audit: RecordingAuditLog;
let clock: ManualClock;
let kek: Buffer;
let guard: ClockGuard;
let authorities: Authorities;

async function open(): Promise<void> {
  const issuingMs = defaultLifetimes.issuingMs;
  guard = await openClockGuard({ store, clock, log: silentLogger, toleranceMs: 5000, issuingMs });
  const serials = await openSerials(store, systemRandom);
  authorities = await openAuthorities({
    store,
    keyStore: createKeyStore(createSecretKey(kek), systemRandom),
    audit,
    clock,
    clockJudgement: guard,
    log: silentLogger,
    trustDomain,
    lifetimes: defaultLifetimes,
    nextSerial: () => serials.next(),
  });
}

async function close(): Promise<void> {
  await authorities.close();
  await guard.close();
}

beforeEach(async () => {
  store = new MemoryStore();
  audit = new RecordingAuditLog();
  clock = new ManualClock(Date.parse('2026-11-22T12:00:00Z'));
  kek = randomBytes(32);
  await open();
});
afterEach(() => close());

function states(): string[] {
  return authorities.current().authorities.map(({ tier, state }) => `${tier} ${state}`);
}

/** What a workload would get now. */
function leaf() {
  const issuer = authorities.issuer();
  return leafValidity({ nowMs: clock.wallMs(), ttlMs: hour, backdateMs: 30_000, issuer });
}

const untouched = ['root active', 'issuing active'];

describe('a clock that is ahead for a minute', () => {
  test.for([
    { name: '13 hours', ms: 13 * hour },
    { name: '366 days', ms: 366 * day },
  ])('($name) changes nothing: the same authorities sign when it has returned', async ({ ms }) => {
    const { id, rootId } = authorities.issuer();
    const records = audit.events.length;
    clock.jump(ms);
    await clock.advance(minute);
    expect(states()).toEqual(untouched);
    clock.jump(-ms);
    await clock.advance(10_000);
    expect(authorities.issuer()).toMatchObject({ id, rootId });
    expect(leaf()).toMatchObject({ kind: 'valid' });
    expect(audit.events).toHaveLength(records);
    expect(guard.trust()).toBe('sure');
  });

  test('past the end of the issuing authority has one that issues at once, and again when it has returned', async () => {
    const first = authorities.issuer().id;
    authorities.expectLeaf(first, clock.wallMs() + hour);
    clock.jump(30 * hour);
    await clock.advance(10_000);
    const second = authorities.issuer().id;
    expect(second).not.toBe(first);
    expect(leaf()).toMatchObject({ kind: 'valid' });
    clock.jump(-30 * hour);
    // What was made then begins in 30 hours.
    expect(leaf()).toMatchObject({ kind: 'refused', code: 'issuer_not_begun' });
    await clock.advance(10_000);
    expect([first, second]).not.toContain(authorities.issuer().id);
    expect(leaf()).toMatchObject({ kind: 'valid' });
    // Its leaves live, so it was not dropped by a time at which they would have ended.
    expect(authorities.current().authorities[1]).toMatchObject({ id: first, state: 'draining' });
  });

  test('is no fault after a restart either: its time was not written down', async () => {
    clock.jump(13 * hour);
    await clock.advance(minute);
    await close();
    clock.jump(-13 * hour);
    await open();
    expect(guard.fault()).toBeUndefined();
    expect(leaf()).toMatchObject({ kind: 'valid' });
  });
});

describe('a clock that stays ahead', () => {
  test('is believed after ten minutes for what rotates, after an hour for what destroys a key', async () => {
    const { id } = authorities.issuer();
    authorities.expectLeaf(id, clock.wallMs() + hour);
    clock.jump(13 * hour);
    await clock.advance(9 * minute);
    expect(states()).toEqual(untouched);
    await clock.advance(2 * minute);
    expect(states()).toEqual(['root active', 'issuing draining', 'issuing active']);
    await clock.advance(48 * minute);
    expect(states()).toEqual(['root active', 'issuing draining', 'issuing active']);
    await clock.advance(2 * minute);
    expect(states()).toEqual(['root active', 'issuing retired', 'issuing active']);
  });

  test('past the end of the root has a new root after an hour, and nothing is issued till then', async () => {
    const { rootId } = authorities.issuer();
    clock.jump(366 * day);
    await clock.advance(59 * minute);
    expect(() => authorities.issuer()).toThrow('has ended');
    expect(states()).toEqual(untouched);
    await clock.advance(2 * minute);
    expect(authorities.issuer().rootId).not.toBe(rootId);
    expect(leaf()).toMatchObject({ kind: 'valid' });
  });

  test('because the CA was stopped needs no operator, whatever had become due', async () => {
    const { id } = authorities.issuer();
    await close();
    await clock.advance(13 * hour);
    await open();
    expect(authorities.issuer().id).toBe(id);
    await clock.advance(11 * minute);
    expect(authorities.issuer().id).not.toBe(id);
  });

  test('by a little is believed as soon as that much has passed', async () => {
    const { id } = authorities.issuer();
    await clock.advance(12 * hour - minute);
    clock.jump(2 * minute);
    await clock.advance(minute);
    expect(authorities.issuer().id).toBe(id);
    await clock.advance(minute + 10_000);
    expect(authorities.issuer().id).not.toBe(id);
  });
});

describe('what an operator asks for', () => {
  test('waits while the clock is ahead where it rests on the time, unless forced', async () => {
    const old = authorities.issuer().rootId;
    const next = await authorities.prepare(operator);
    clock.jump(13 * hour);
    await expect(authorities.activate(operator, next.id, everybody, false)).rejects.toMatchObject({
      code: 'clock_ahead',
      kind: 'unavailable',
      message: expect.stringMatching(/2026-11-23T01:00.*where 2026-11-22T12:00.*for 10m/),
      remedy: expect.stringContaining('clockTolerance'),
    });
    await authorities.activate(operator, next.id, everybody, true);
    await expect(authorities.retire(operator, old, false)).rejects.toMatchObject({
      code: 'clock_ahead',
    });
    await clock.advance(hour + minute);
    await authorities.retire(operator, old, false);
    expect(states().filter((state) => state.startsWith('root'))).toEqual([
      'root retired',
      'root active',
    ]);
  });

  test('is refused while the clock is behind, and nothing due is done', async () => {
    await clock.advance(minute);
    clock.jump(-hour);
    await expect(authorities.prepare(operator)).rejects.toMatchObject({ code: 'clock_backwards' });
    await clock.advance(minute);
    expect(states()).toEqual(untouched);
    clock.jump(hour);
    await authorities.prepare(operator);
  });
});

describe('JWT keys', () => {
  let keys: RotatingJwtKeys;
  const kids = (): string[] => keys.list().map(({ id, state }) => `${id} ${state}`);
  beforeEach(async () => {
    keys = await openJwtKeys({
      store,
      keyStore: createKeyStore(createSecretKey(kek), systemRandom),
      audit,
      clock,
      clockJudgement: guard,
      log: silentLogger,
      lifeMs: day,
      tokenMs: hour,
      policy: { threshold: 1, deadlineMs: hour, automatic: true },
      propagationOf: everybody,
    });
  });
  afterEach(() => keys.close());

  test('stay as they are while the clock is ahead for a minute', async () => {
    const before = kids();
    clock.jump(13 * hour);
    await clock.advance(minute);
    clock.jump(-13 * hour);
    await clock.advance(minute);
    expect(kids()).toEqual(before);
  });

  test('have a successor as soon as the clock is believed', async () => {
    clock.jump(13 * hour);
    await clock.advance(11 * minute);
    expect(keys.list().map(({ state }) => state)).toEqual(['active', 'published']);
  });

  test('past whose end the clock is ahead do not leave the bundle, so that their tokens are good when it returns', async () => {
    const first = keys.current().kid;
    clock.jump(30 * hour);
    await clock.advance(minute);
    expect(keys.current().kid).not.toBe(first);
    clock.jump(-30 * hour);
    await clock.advance(minute);
    expect(keys.published.current().authorities.map(({ keyId }) => keyId)).toContain(first);
    // The one that began then would sign for 30 hours longer than it may: another takes its place.
    await clock.advance(6 * minute);
    expect(keys.list().map(({ state }) => state)).toEqual(['draining', 'draining', 'active']);
  });

  test('are moved by an operator only as far as the clock is believed', async () => {
    const next = await keys.prepare(operator);
    clock.jump(13 * hour);
    await expect(keys.activate(operator, next.id, false)).rejects.toMatchObject({
      code: 'clock_ahead',
    });
    await keys.activate(operator, next.id, true);
    expect(keys.current().kid).toBe(next.id);
  });
});
