import { expect, test } from 'vitest';
import { formatNumber, formatSpread, formatTable } from './table.ts';

test.for([
  [0.123, 1, '0.1'],
  [999, 0, '999'],
  [1000, 0, '1 000'],
  [1234567.89, 1, '1 234 567.9'],
  [-1234, 0, '-1 234'],
] as const)('%s with %s digits reads %s', ([value, digits, text]) => {
  expect(formatNumber(value, digits)).toBe(text);
});

test('a figure reads median, least and most, or one number where they are the same', () => {
  expect(formatSpread({ median: 2, min: 1, max: 3 }, 0)).toBe('2 (1–3)');
  expect(formatSpread({ median: 2, min: 2.01, max: 1.99 }, 1)).toBe('2.0');
  expect(formatSpread(undefined, 1)).toBe('–');
});

test('columns line up, and a missing figure is a dash', () => {
  const at = (value: number) => ({ median: value, min: value, max: value });
  const text = formatTable(
    [
      { figure: 'cost', title: 'µs', digits: 1 },
      { figure: 'rate', title: 'per second', digits: 0 },
    ],
    [
      { name: 'sign', figures: { cost: at(36), rate: at(27_000) } },
      { name: 'x', figures: { cost: at(4000) } },
    ],
  );
  expect(text.split('\n')).toEqual([
    '           µs  per second',
    'sign     36.0      27 000',
    'x     4 000.0           –',
  ]);
});
