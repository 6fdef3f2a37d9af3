import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJsonBody } from './json-body.ts';

const parse = (text: string): unknown => parseJsonBody(Buffer.from(text));

describe('a body', () => {
  test.for([
    ['{', 'is not JSON: a fault at'],
    ['', 'is not JSON'],
    ['{"a":1}x', 'is not JSON: a fault at position 7'],
    ['{"a":1,"a":2}', 'has the key "a" twice'],
    ['{"a":{"b":1},"a":2}', 'has the key "a" twice'],
    [String.raw`{"a":1,"\u0061":2}`, 'has the key "a" twice'],
    ['[{"a":1,"b":2,"a":3}]', 'has the key "a" twice'],
    ['{"__proto__":{}}', '__proto__'],
    [String.raw`{"\u005f_proto__":{}}`, '__proto__'],
    [`${'['.repeat(33)}${']'.repeat(33)}`, 'more than 32 levels'],
    ['['.repeat(200_000), 'more than 32 levels'],
    [`${'{"a":'.repeat(40_000)}1`, 'more than 32 levels'],
  ] as const)('%# is refused: %s', ([text, reason]) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code: 'request_invalid',
        message: expect.stringContaining(reason),
      }),
    );
  });

  test('that is no UTF-8 is refused', () => {
    expect(() => parseJsonBody(Buffer.from([0x22, 0xff, 0x22]))).toThrow('is not UTF-8');
    expect(parseJsonBody(Buffer.from('"ä"'))).toBe('ä');
  });

  test.for([
    '{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}',
    '["a","a",["a"],{"a":"a"}]',
    '{"a":"b,\\"a\\":","b":"{[\\\\","c":{}}',
    `${'['.repeat(32)}${']'.repeat(32)}`,
    '{"a":"x","x":"a"}',
  ])('%# is read: %s', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('is read as JSON.parse reads it, or refused', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        if (!text.includes('__proto__')) expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 100 },
    );
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' '),
        }),
        (text) => {
          let known: unknown;
          try {
            known = parse(text);
          } catch (error) {
            expect(error).toMatchObject({ code: 'request_invalid' });
            return;
          }
          expect(known).toEqual(JSON.parse(text));
        },
      ),
      { numRuns: 300 },
    );
  });
});
