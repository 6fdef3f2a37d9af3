import { expect, test } from 'vitest';
import { timeoutsSchema, waitMsMaxOf } from './timeouts-config.ts';

test('who waits for a connection waits longer than one may take to be made', () => {
  expect(waitMsMaxOf(timeoutsSchema.parse({}))).toBe(10_000);
  expect(waitMsMaxOf(timeoutsSchema.parse({ connect: '30s' }))).toBe(60_000);
  expect(waitMsMaxOf(timeoutsSchema.parse({ connect: '30s', wait: '31s' }))).toBe(31_000);
  expect(() => timeoutsSchema.parse({ connect: '30s', wait: '30s' })).toThrow(
    'it is longer than connect',
  );
});
