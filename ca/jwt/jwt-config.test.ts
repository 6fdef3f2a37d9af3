import { expect, test } from 'vitest';
import { jwtField } from './jwt-config.ts';

test.for([
  [undefined, { ttlMs: 300_000, ttlMsMax: 3_600_000 }],
  [{ ttl: '10s' }, { ttlMs: 10_000, ttlMsMax: 3_600_000 }],
  [
    { ttl: '2m', ttlMax: '2m' },
    { ttlMs: 120_000, ttlMsMax: 120_000 },
  ],
] as const)('%j', ([given, expected]) => {
  expect(jwtField.parse(given)).toEqual(expected);
});

test.for([
  [{ ttl: '2h' }, 'ttl is longer than ttlMax'],
  [{ ttl: '1500ms' }, 'whole seconds'],
  [{ ttl: '5' }, 'is not a duration'],
  [{ life: '5m' }, 'life'],
] as const)('%j is refused: %s', ([given, reason]) => {
  expect(jwtField.safeParse(given).error?.message).toContain(reason);
});
