import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leafValidity } from './validity.ts';

const nowMs = Date.parse('2026-11-22T12:00:00.700Z');
const issuer = { notBeforeMs: nowMs - 10_700, notAfterMs: nowMs + 59_300 };

test.for([
  { name: 'as asked', ttl: 10, backdate: 5, endsIn: 12, from: -5700, to: 9300 },
  { name: 'not before its issuer', ttl: 10, backdate: 30, from: -10_700, to: 9300 },
  { name: 'not after its issuer', ttl: 3600, backdate: 5, from: -5700, to: 59_300, by: 'issuer' },
  {
    name: 'not after its entry',
    ttl: 10,
    backdate: 5,
    endsIn: 8,
    from: -5700,
    to: 7300,
    by: 'entry',
  },
  {
    name: 'the issuer ends first',
    ttl: 3600,
    backdate: 5,
    endsIn: 90,
    from: -5700,
    to: 59_300,
    by: 'issuer',
  },
])('$name', ({ ttl, backdate, endsIn, from, to, by }) => {
  const entryEndsAtMs = endsIn === undefined ? undefined : nowMs + endsIn * 1000;
  const asked = { nowMs, ttlMs: ttl * 1000, backdateMs: backdate * 1000, issuer, entryEndsAtMs };
  expect(leafValidity(asked)).toEqual({
    kind: 'valid',
    notBeforeMs: nowMs + from,
    notAfterMs: nowMs + to,
    ...(by === undefined ? {} : { cappedBy: by }),
  });
});

test('nothing is issued under an entry that is about to end, and the entry is named', () => {
  const asked = { nowMs, ttlMs: 10_000, backdateMs: 0, issuer };
  expect(leafValidity({ ...asked, entryEndsAtMs: nowMs + 400 })).toMatchObject({
    kind: 'refused',
    code: 'entry_ending',
    detail: 'the registration entry has only 300ms left',
  });
  expect(leafValidity({ ...asked, entryEndsAtMs: nowMs + 2000 })).toMatchObject({ kind: 'valid' });
});

test('nothing is issued by an authority that is about to end', () => {
  const ending = { ...issuer, notAfterMs: nowMs + 300 };
  expect(leafValidity({ nowMs, ttlMs: 10_000, backdateMs: 0, issuer: ending })).toMatchObject({
    kind: 'refused',
    code: 'issuer_ending',
    reason: 'unavailable',
  });
});

test('nothing is issued by an authority that has not begun: it was made by a clock that was ahead', () => {
  const ahead = { notBeforeMs: nowMs + 1000, notAfterMs: nowMs + 60_000 };
  const asked = { ttlMs: 10_000, backdateMs: 0, issuer: ahead };
  expect(leafValidity({ ...asked, nowMs })).toMatchObject({
    kind: 'refused',
    code: 'issuer_not_begun',
    reason: 'unavailable',
    detail: 'the issuing authority begins at 2026-11-22T12:00:01.700Z',
  });
  expect(leafValidity({ ...asked, nowMs: nowMs + 1000 })).toMatchObject({ kind: 'valid' });
});

test('it always lies within the issuer, in whole seconds, and holds now', () => {
  const time = fc.integer({ min: 0, max: 4_000_000_000_000 });
  fc.assert(
    fc.property(
      time,
      fc.integer({ min: 1000, max: 1e9 }),
      fc.nat(1e6),
      fc.nat(1e6),
      (now, ttlMs, backdateMs, ageMs) => {
        const parent = {
          notBeforeMs: Math.floor((now - ageMs) / 1000) * 1000,
          notAfterMs: Math.floor((now + 2 * ttlMs) / 3000) * 1000,
        };
        const validity = leafValidity({ nowMs: now, ttlMs, backdateMs, issuer: parent });
        if (validity.kind === 'refused') return;
        expect(validity.notBeforeMs % 1000 === 0).toBe(true);
        expect(validity.notAfterMs % 1000 === 0).toBe(true);
        expect(validity.notBeforeMs).toBeGreaterThanOrEqual(parent.notBeforeMs);
        expect(validity.notAfterMs).toBeLessThanOrEqual(parent.notAfterMs);
        expect(validity.notBeforeMs).toBeLessThanOrEqual(now);
        expect(validity.notAfterMs).toBeGreaterThan(now);
      },
    ),
  );
});
