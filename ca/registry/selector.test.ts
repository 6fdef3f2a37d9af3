import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import {
  areSelectorsSubset,
  canonicalSelectors,
  parseSelector,
  type Selector,
  SelectorError,
  selectorOf,
  selectorType,
  selectorValue,
} from './selector.ts';

const type = fc.stringMatching(/^[a-z0-9_-]{1,64}$/);
const value = fc.stringMatching(/^[ -~]{1,100}$/);
const selector = fc.tuple(type, value).map(([t, v]) => selectorOf(t, v));

describe('selector', () => {
  property.prop([type, value])('what is put together comes apart again', (t, v) => {
    const made = selectorOf(t, v);
    expect([selectorType(made), selectorValue(made)]).toEqual([t, v]);
    expect(parseSelector(made)).toBe(made);
  });

  property.prop([fc.string({ unit: 'binary' })])(
    'any text is a selector whole, or refused',
    (text) => {
      try {
        expect(parseSelector(text)).toBe(text);
      } catch (error) {
        expect(error).toBeInstanceOf(SelectorError);
      }
    },
  );

  test.for([
    ['unix:uid:1000', 'unix', 'uid:1000'],
    ['join_token:0a1b', 'join_token', '0a1b'],
    ['k8s:pod-label:a=b c', 'k8s', 'pod-label:a=b c'],
    ['unix:path:/opt/dänisch', 'unix', 'path:/opt/dänisch'],
    ['a::', 'a', ':'],
  ])('%s', ([text = '', t, v]) => {
    const parsed = parseSelector(text);
    expect([selectorType(parsed), selectorValue(parsed)]).toEqual([t, v]);
  });

  test.for([
    ['', 'selector_no_type'],
    ['unix', 'selector_no_type'],
    [':uid', 'selector_type'],
    ['Unix:uid', 'selector_type'],
    ['un ix:uid', 'selector_type'],
    [`${'a'.repeat(65)}:uid`, 'selector_type'],
    ['unix:', 'selector_no_value'],
    ['unix:a\nb', 'selector_value'],
    ['unix:a\0b', 'selector_value'],
    ['unix:\ud800', 'selector_value'],
    [`unix:${'a'.repeat(2044)}`, 'selector_length'],
  ])('%j is refused: %s', ([text = '', code]) => {
    expect(() => parseSelector(text)).toThrow(expect.objectContaining({ code }));
  });

  test('the longest one is taken', () => {
    expect(parseSelector(`unix:${'a'.repeat(2043)}`)).toHaveLength(2048);
  });

  test('a colon cannot move from the type to the value', () => {
    expect(() => selectorOf('a:b', 'c')).toThrow(SelectorError);
    expect(selectorOf('a', 'b:c')).toBe('a:b:c');
  });

  property.prop([fc.array(selector), fc.array(selector)])(
    'a set is within itself and more, and not when one is missing',
    (wanted, more) => {
      expect(areSelectorsSubset(wanted, new Set([...wanted, ...more]))).toBe(true);
      const [first] = wanted;
      if (first === undefined) return;
      const without = new Set<Selector>([...wanted, ...more].filter((held) => held !== first));
      expect(areSelectorsSubset(wanted, without)).toBe(false);
    },
  );

  property.prop([fc.array(selector)])('equal sets have one spelling', (selectors) => {
    const canonical = canonicalSelectors(selectors);
    expect(canonicalSelectors([...selectors.toReversed(), ...selectors])).toEqual(canonical);
    expect(new Set(canonical)).toEqual(new Set(selectors));
  });
});
