import { expect, test } from 'vitest';
import { jwtConfigOf, jwtField } from './jwt-config.ts';

const hour = 3_600_000;

test.for([
  [undefined, 24 * hour, { ttlMs: 300_000, ttlMsMax: hour }],
  [{ ttl: '10s' }, 24 * hour, { ttlMs: 10_000, ttlMsMax: hour }],
  [{ ttl: '2m', ttlMax: '2m' }, 24 * hour, { ttlMs: 120_000, ttlMsMax: 120_000 }],
  // The defaults are what fits: a key is replaced at half its life.
  [undefined, hour, { ttlMs: 300_000, ttlMsMax: hour / 2 }],
  [undefined, 61_000, { ttlMs: 30_000, ttlMsMax: 30_000 }],
  // What is given stays; that it contradicts is found when the CA starts.
  [{ ttlMax: '1h' }, hour, { ttlMs: 300_000, ttlMsMax: hour }],
] as const)('%j under a key of %i ms', ([given, keyMs, expected]) => {
  expect(jwtConfigOf(jwtField.parse(given), keyMs)).toEqual(expected);
});

test.for([
  [{ ttl: '2h' }, 'ttl is longer than ttlMax'],
  [{ ttl: '1500ms' }, 'whole seconds'],
  [{ ttl: '5' }, 'is not a duration'],
  [{ life: '5m' }, 'life'],
] as const)('%j is refused: %s', ([given, reason]) => {
  expect(jwtField.safeParse(given).error?.message).toContain(reason);
});
