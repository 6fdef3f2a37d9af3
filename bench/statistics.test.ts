import { fc, test as propertyTest } from '@fast-check/vitest';
import { expect, test } from 'vitest';
import { BenchError } from './bench-error.ts';
import { spreadOf } from './statistics.ts';

test.for([
  [[7], { median: 7, min: 7, max: 7 }],
  [[3, 1, 2], { median: 2, min: 1, max: 3 }],
  [[4, 1, 3, 2], { median: 2.5, min: 1, max: 4 }],
  [[10, 9, 100], { median: 10, min: 9, max: 100 }],
] as const)('%o has %o', ([values, spread]) => {
  expect(spreadOf(values)).toEqual(spread);
});

test('no value has no median', () => {
  expect(() => spreadOf([])).toThrow(BenchError);
});

propertyTest.prop([fc.array(fc.integer({ min: 0, max: 1e9 }), { minLength: 1, maxLength: 30 })])(
  'the median stands between the extremes and divides the values in half',
  (values) => {
    const { median, min, max } = spreadOf(values);
    expect(min).toBeLessThanOrEqual(median);
    expect(max).toBeGreaterThanOrEqual(median);
    const half = values.length / 2;
    expect(values.filter((value) => value < median).length).toBeLessThanOrEqual(half);
    expect(values.filter((value) => value > median).length).toBeLessThanOrEqual(half);
  },
);
