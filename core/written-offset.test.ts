import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { writtenOffset } from './written-offset.ts';

test.for([
  ['plain', 'one two', 4],
  ['plain over lines', 'one\n  two', 6],
  ['single quotes', "'one two'", 5],
  ['double quotes', '"one two"', 5],
  ['folded', '>\n  one\n  two\n', 10],
  ['literal', '|-\n  one\n\n  two', 12],
] as const)('%s', ([, written, expected]) => {
  const value = String(parseDocument(written).toJS());
  expect(writtenOffset(written, value, value.indexOf('two'))).toBe(expected);
});

test('of a text with escapes it is not known', () => {
  expect(writtenOffset(String.raw`"one\x20two"`, 'one two', 4)).toBeUndefined();
});

test('it is a place in the text, for any text and offset', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(50), (value, offset) => {
      const place = writtenOffset(value, value, Math.min(offset, value.length)) ?? 0;
      expect(place).toBeGreaterThanOrEqual(0);
      expect(place).toBeLessThanOrEqual(value.length);
    }),
  );
});
