import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { generateKeyPair } from '../../pki/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { EntrySvid } from './entry-svid.ts';
import {
  dueSlots,
  nextWakeMs,
  type Now,
  reconcileSlots,
  retryUnreachable,
  type SvidSlot,
  type SvidSlots,
  withdrawExpired,
  withFailure,
  withSvid,
} from './svid-schedule.ts';

const random = seededRandom(1);
const { privateKey } = generateKeyPair('ec-p256');
const now: Now = { wallMs: 1_000_000, monotonicMs: 500 };
const later = (ms: number): Now => ({
  wallMs: now.wallMs + ms,
  monotonicMs: now.monotonicMs + ms,
});

const entry = (id: string, more: Partial<AgentEntry> = {}): AgentEntry => ({
  id,
  spiffeId: parseSpiffeId(`spiffe://mesh.test/${id}`),
  selectors: ['unix:uid:1'],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
  ...more,
});

const held = (of: AgentEntry, more: Partial<EntrySvid> = {}): EntrySvid => ({
  entryId: of.id,
  entryRevision: of.revision,
  svid: { id: of.spiffeId, chain: [], privateKey },
  rootKeyId: 'root1',
  renewAtMs: now.wallMs + 5000,
  notAfterMs: now.wallMs + 10_000,
  ...more,
});

const slotsOf = (...slots: Partial<SvidSlot>[]): SvidSlots =>
  new Map(
    slots.map((slot) => {
      const of = slot.entry ?? entry('e');
      return [of.id, { entry: of, held: slot.held, retry: slot.retry }];
    }),
  );

const e = entry('e');
const dueAt = (slots: SvidSlots, at: Now, root = 'root1'): string[] =>
  dueSlots(slots, root, at, 100).map((slot) => slot.entry.id);

test.for([
  ['one that is missing', {}, true],
  ['a fresh one', { held: held(e) }, false],
  ['one past its half life', { held: held(e, { renewAtMs: now.wallMs }) }, true],
  ['one for an older revision', { held: held(e, { entryRevision: 0n }) }, true],
  ['one under another root', { held: held(e, { rootKeyId: 'root0' }) }, true],
  [
    'one that must wait',
    { retry: { failures: 1, atMs: now.monotonicMs + 1, reason: 'refused' } },
    false,
  ],
  [
    'one that has waited',
    { retry: { failures: 1, atMs: now.monotonicMs, reason: 'refused' } },
    true,
  ],
] as const)('whether %s is due', ([, slot, expected]) => {
  const slots = slotsOf({ entry: e, ...slot });
  expect(dueAt(slots, now).length === 1).toBe(expected);
  // The wake-up agrees: nothing is slept through, and nothing spins.
  expect(nextWakeMs(slots, 'root1', now) === 0).toBe(expected);
});

test('without a word from the CA about roots no SVID is renewed for its root', () => {
  expect(dueAt(slotsOf({ entry: e, held: held(e, { rootKeyId: 'root0' }) }), now, '')).toEqual([]);
});

test('the most urgent come first, and no more than asked for', () => {
  const [a, b, c] = [entry('a'), entry('b'), entry('c')];
  const slots = slotsOf(
    { entry: a, held: held(a, { renewAtMs: 0, notAfterMs: now.wallMs + 900 }) },
    { entry: b, held: held(b, { renewAtMs: 0, notAfterMs: now.wallMs + 100 }) },
    { entry: c },
  );
  expect(dueAt(slots, now)).toEqual(['c', 'b', 'a']);
  expect(dueSlots(slots, 'root1', now, 2).length).toBe(2);
});

test('what is held outlives a changed entry, unless it names another identity', () => {
  const before = slotsOf({
    entry: e,
    held: held(e),
    retry: { failures: 3, atMs: 9e9, reason: 'refused' },
  });
  const kept = reconcileSlots(before, [entry('e', { revision: 2n }), entry('new')]);
  expect(kept.get('e')?.held).toBeDefined();
  expect(kept.get('e')?.retry).toBeUndefined();
  expect(kept.get('new')).toMatchObject({ held: undefined, retry: undefined });
  const renamed = entry('e', { spiffeId: parseSpiffeId('spiffe://mesh.test/other') });
  expect(reconcileSlots(before, [renamed]).get('e')?.held).toBeUndefined();
  expect(reconcileSlots(before, []).size).toBe(0);
});

test('an expired SVID is withdrawn at its last moment, not before', () => {
  const slots = slotsOf({ entry: e, held: held(e) });
  expect(withdrawExpired(slots, later(9999))).toBe(slots);
  expect(withdrawExpired(slots, later(10_000)).get('e')?.held).toBeUndefined();
});

test('a failure is retried later and later, a success ends that', () => {
  let slot: SvidSlot = { entry: e, held: undefined, retry: undefined };
  const waits: number[] = [];
  for (let count = 0; count < 20; count += 1) {
    slot = withFailure(slot, 'refused', now, random);
    waits.push((slot.retry?.atMs ?? 0) - now.monotonicMs);
  }
  expect(waits[0]).toBeLessThanOrEqual(100);
  expect(Math.max(...waits)).toBeLessThanOrEqual(5000);
  expect(waits.at(-1)).toBeGreaterThanOrEqual(2500);
  expect(withSvid(slot, held(e), 'root1', now, random).retry).toBeUndefined();
});

test('a CA that was away and is back is asked at once; one that refused is not', () => {
  const [away, no] = [entry('away'), entry('no')];
  const slots = slotsOf(
    { entry: away, retry: { failures: 9, atMs: 9e9, reason: 'unreachable' } },
    { entry: no, retry: { failures: 9, atMs: 9e9, reason: 'refused' } },
  );
  expect(dueAt(slots, now)).toEqual([]);
  expect(dueAt(retryUnreachable(slots, now, random), now)).toEqual(['away']);
});

test('after an outage renewals spread out: no stampede, and nobody expires', () => {
  const fleet = seededRandom(20);
  const leftsMs = Array.from({ length: 5000 }, () => 1 + fleet.fraction() * 1_800_000);
  const waitsMs = leftsMs.map((leftMs) => {
    const due = held(e, { renewAtMs: 0, notAfterMs: now.wallMs + leftMs });
    const slot = withFailure({ entry: e, held: due, retry: undefined }, 'unreachable', now, fleet);
    const spread = retryUnreachable(new Map([['e', slot]]), now, fleet);
    // Hearing of the CA again and again draws no new lot.
    expect(retryUnreachable(spread, later(1), fleet)).toBe(spread);
    return nextWakeMs(spread, 'root1', now);
  });
  for (const [index, waitMs] of waitsMs.entries()) {
    expect(waitMs).toBeLessThanOrEqual((leftsMs[index] ?? 0) / 4);
    expect(waitMs).toBeLessThanOrEqual(60_000);
  }
  const perSecond = new Map<number, number>();
  for (const waitMs of waitsMs) {
    const second = Math.floor(waitMs / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  // 5,000 over a minute are 83 a second; those about to expire come sooner and no more than double that.
  expect(Math.max(...perSecond.values())).toBeLessThan(200);
});

test('near its end an SVID is tried after each tenth of what is left, whatever the backoff or the CA says', () => {
  const failing = (leftMs: number, hintMs: number): number => {
    const slot = {
      entry: e,
      held: held(e, { notAfterMs: now.wallMs + leftMs }),
      retry: { failures: 20, atMs: 0, reason: 'overloaded' as const },
    };
    return (
      (withFailure(slot, 'overloaded', now, random, hintMs).retry?.atMs ?? 0) - now.monotonicMs
    );
  };
  for (const leftMs of [50, 500, 5000, 50_000]) {
    expect(failing(leftMs, 60_000)).toBe(Math.max(100, leftMs / 10));
  }
  // With time enough the hint is honoured, with jitter above it and never below.
  const waits = Array.from({ length: 100 }, () => failing(3_600_000, 7000));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(7000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(14_000);
  expect(new Set(waits).size).toBeGreaterThan(90);
});

test('a CA that signs under another root than it names is not asked in a tight loop', () => {
  const slot: SvidSlot = { entry: e, held: undefined, retry: undefined };
  const renewed = withSvid(slot, held(e), 'root2', now, random);
  expect(renewed.held).toBeDefined();
  expect(renewed.retry?.failures).toBe(1);
});

test('sleeping until the next wake misses nothing: something is due, expired or to be retried then', () => {
  const someSlot = fc.record({
    renewInMs: fc.integer({ min: -1000, max: 10_000 }),
    lifeMs: fc.integer({ min: 1, max: 10_000 }),
    retryInMs: fc.option(fc.integer({ min: -100, max: 5000 }), { nil: undefined }),
    has: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(someSlot, { minLength: 1, maxLength: 8 }), (specs) => {
      const slots = slotsOf(
        ...specs.map(({ renewInMs, lifeMs, retryInMs, has }, index) => {
          const of = entry(`e${index}`);
          const times = { renewAtMs: now.wallMs + renewInMs, notAfterMs: now.wallMs + lifeMs };
          return {
            entry: of,
            held: has ? held(of, times) : undefined,
            retry:
              retryInMs === undefined
                ? undefined
                : {
                    failures: 1,
                    atMs: now.monotonicMs + retryInMs,
                    reason: 'refused' as const,
                  },
          };
        }),
      );
      const wakeMs = nextWakeMs(slots, 'root1', now);
      const acts = (at: Now): boolean =>
        dueAt(slots, at).length > 0 || withdrawExpired(slots, at) !== slots;
      if (wakeMs > 0) expect(acts(later(wakeMs - 1))).toBe(false);
      expect(acts(later(wakeMs))).toBe(true);
    }),
  );
});
