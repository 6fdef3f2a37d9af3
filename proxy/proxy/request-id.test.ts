import { expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { RequestIds } from './request-id.ts';

test('IDs are 32 hexadecimal digits, in order, and never the same twice', () => {
  const ids = new RequestIds(seededRandom(1));
  const given = Array.from({ length: 10_000 }, () => ids.next());
  expect(new Set(given).size).toBe(10_000);
  expect(given.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true);
  expect(given.toSorted()).toEqual(given);
  expect(given.at(-1)?.endsWith((10_000).toString(16).padStart(12, '0'))).toBe(true);
});

test('two proxies give different ones', () => {
  const [left, right] = [new RequestIds(seededRandom(1)), new RequestIds(seededRandom(2))];
  expect(left.next()).not.toBe(right.next());
});
