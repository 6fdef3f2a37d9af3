import { beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { type Claim, IdempotencyKeys } from './idempotency.ts';

let clock: ManualClock;
let keys: IdempotencyKeys;
beforeEach(() => {
  clock = new ManualClock(0);
  keys = new IdempotencyKeys(clock, 2);
});

const claim = (key: string, request = 'body', caller = 'a'): Claim =>
  keys.claim({ caller, key, request });

function finished(key: string, body: string): void {
  const first = claim(key);
  if (first.kind !== 'first') throw new Error('not the first');
  keys.finish(first.slot, { status: 200, type: 'application/json', body });
}

test('a repeat gets the first answer; another caller with the same key is a first one', () => {
  finished('k', 'one');
  expect(claim('k')).toMatchObject({ kind: 'repeat', answer: { status: 200, body: 'one' } });
  expect(claim('k', 'body', 'b').kind).toBe('first');
});

test('the same key for another request is refused, and so is a repeat while the first is under way', () => {
  expect(claim('k').kind).toBe('first');
  expect(() => claim('k', 'other')).toThrow(
    expect.objectContaining({ code: 'idempotency_key_reused', kind: 'already_exists' }),
  );
  expect(() => claim('k')).toThrow(expect.objectContaining({ code: 'idempotency_key_busy' }));
});

test('what was not done may be tried again', () => {
  const first = claim('k');
  if (first.kind === 'first') keys.abandon(first.slot);
  expect(claim('k').kind).toBe('first');
});

test('keys are forgotten after a while', async () => {
  finished('k', 'one');
  await clock.advance(10 * 60_000);
  expect(claim('k').kind).toBe('first');
});

test('the oldest that is done makes room; those under way never do', () => {
  finished('one', '1');
  expect(claim('two').kind).toBe('first');
  expect(claim('three').kind).toBe('first');
  expect(() => claim('four')).toThrow(expect.objectContaining({ kind: 'resource_exhausted' }));
});

test.for(['', 'a b', 'é', 'x'.repeat(129)])('%j is no key', (key) => {
  expect(() => claim(key)).toThrow(expect.objectContaining({ code: 'idempotency_key_invalid' }));
});
