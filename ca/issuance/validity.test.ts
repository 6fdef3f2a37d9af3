import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leafValidity } from './validity.ts';

const nowMs = Date.parse('2026-11-22T12:00:00.700Z');
const issuer = { notBeforeMs: nowMs - 10_700, notAfterMs: nowMs + 59_300 };

test.for([
  { name: 'as asked', ttlMs: 10_000, backdateMs: 5000, from: -5700, to: 9300 },
  { name: 'not before its issuer', ttlMs: 10_000, backdateMs: 30_000, from: -10_700, to: 9300 },
  { name: 'not after its issuer', ttlMs: 3_600_000, backdateMs: 5000, from: -5700, to: 59_300 },
])('$name', ({ ttlMs, backdateMs, from, to }) => {
  expect(leafValidity({ nowMs, ttlMs, backdateMs, issuer })).toEqual({
    kind: 'valid',
    notBeforeMs: nowMs + from,
    notAfterMs: nowMs + to,
  });
});

test('nothing is issued by an authority that is about to end', () => {
  const ending = { ...issuer, notAfterMs: nowMs + 300 };
  expect(leafValidity({ nowMs, ttlMs: 10_000, backdateMs: 0, issuer: ending })).toMatchObject({
    kind: 'refused',
    code: 'issuer_ending',
    reason: 'unavailable',
  });
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
