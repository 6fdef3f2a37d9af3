/** HPACK by the examples of RFC 7541, by what it must refuse, and by properties. */

import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Field, indexing, makeField } from '../field.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { integerEnd, readInteger, writeInteger } from './hpack-integer.ts';
import { decodedLengthMax, huffmanDecode, huffmanEncode, huffmanLength } from './huffman.ts';

type Pair = readonly [name: string, value: string];

interface BlocksVector {
  readonly name: string;
  readonly origin: string;
  readonly tableSizeMax: number;
  readonly huffman: 'never' | 'stored';
  readonly blocks: readonly {
    readonly block: string;
    readonly fields: readonly Pair[];
    readonly indexing?: keyof typeof indexing;
    readonly table: readonly Pair[];
    readonly tableSize: number;
  }[];
}

const blockVectors: readonly BlocksVector[] = JSON.parse(readText('blocks.json'));

test.for(blockVectors)('decoded: $name ($origin)', ({ tableSizeMax, blocks }) => {
  const decoder = newDecoder(tableSizeMax);
  for (const { block, fields, indexing: how, table, tableSize } of blocks) {
    const decoded: Field[] = [];
    expect(decoder.decode(Buffer.from(block, 'hex'), decoded)).toBe('decoded');
    expect(pairs(decoded)).toEqual(fields);
    if (how !== undefined) expect(decoded[0]?.indexing).toBe(indexing[how]);
    expect(pairs(decoder.entries())).toEqual(table);
    expect(decoder.tableSize).toBe(tableSize);
  }
});

test.for(blockVectors)('encoded: $name ($origin)', ({ tableSizeMax, huffman, blocks }) => {
  const encoder = new HpackEncoder({ tableSizeMax, huffman });
  // The examples take the size of the table for agreed, where we announce it.
  encoder.encode([]);
  for (const { block, fields, indexing: how = 'indexed', table, tableSize } of blocks) {
    const list = fields.map(([name, value]) => makeField(name, value, indexing[how]));
    expect(encoder.encode(list).toString('hex')).toBe(block);
    expect(pairs(encoder.entries())).toEqual(table);
    expect(encoder.tableSize).toBe(tableSize);
  }
});

interface RefusalVector {
  readonly name: string;
  readonly origin: string;
  readonly input: string;
  readonly expected: string;
}

const refusalVectors: readonly RefusalVector[] = JSON.parse(readText('refusals.json'));

test.for(refusalVectors)('$name: $expected ($origin)', ({ input, expected }) => {
  expect(newDecoder().decode(Buffer.from(input, 'hex'), [])).toBe(expected);
});

interface IntegerVector {
  readonly name: string;
  readonly origin: string;
  readonly prefixBits: number;
  readonly input: string;
  readonly expected: number;
}

const integerVectors: readonly IntegerVector[] = JSON.parse(readText('integers.json'));

test.for(integerVectors)('$name ($origin)', ({ prefixBits, input, expected }) => {
  const bytes = Buffer.from(input, 'hex');
  expect(readInteger(bytes, 0, bytes.length, prefixBits)).toBe(expected);
  expect(integerEnd.at).toBe(bytes.length);
  const target = Buffer.alloc(8);
  expect(target.toString('hex', 0, writeInteger(target, 0, expected, prefixBits, 0))).toBe(input);
});

test('integers come back, and any shorter piece of one is told to be short', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 28), fc.integer({ min: 1, max: 8 }), (value, prefixBits) => {
      const target = Buffer.alloc(8);
      const end = writeInteger(target, 0, value, prefixBits, 0);
      expect(readInteger(target, 0, end, prefixBits)).toBe(value);
      for (let cut = 0; cut < end; cut += 1) {
        expect(readInteger(target, 0, cut, prefixBits)).toBe(-1);
      }
    }),
  );
});

describe('Huffman coding', () => {
  test('each of the 256 symbols comes back alone and between others', () => {
    for (let symbol = 0; symbol < 256; symbol += 1) {
      const letter = String.fromCharCode(symbol);
      for (const text of [letter, `a${letter}b`, letter.repeat(9)]) {
        expect(huffmanRoundTrip(text)).toBe(text);
      }
    }
  });

  test('any string comes back', () => {
    fc.assert(
      fc.property(latin1(200), (text) => {
        expect(huffmanRoundTrip(text)).toBe(text);
      }),
    );
  });

  test('any bytes are decoded or refused, within the bound on their length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        const bytes = Buffer.from(data);
        const target = Buffer.alloc(decodedLengthMax(bytes.length) + 1);
        const length = huffmanDecode(bytes, 0, bytes.length, target);
        expect(length).toBeLessThanOrEqual(decodedLengthMax(bytes.length));
        // What is decoded has one coding only.
        if (length < 0) return;
        const again = Buffer.alloc(bytes.length + 1);
        const end = huffmanEncode(target.toString('latin1', 0, length), again, 0);
        expect(again.subarray(0, end)).toEqual(bytes);
      }),
    );
  });
});

const names = fc.constantFrom(
  ':path',
  ':status',
  'cache-control',
  'x-a',
  'x-b',
  'set-cookie',
  'grpc-timeout',
  'x-a-name-that-is-rather-long-so-that-entries-are-evicted',
);
const fields = fc.array(
  fc
    .tuple(names, latin1(60), fc.constantFrom(...Object.values(indexing)))
    .map(([name, value, how]) => makeField(name, value, how)),
  { maxLength: 12 },
);

test('block after block comes back, and both tables stay the same, whatever sizes are allowed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fields, fc.option(fc.nat(300))), { minLength: 1, maxLength: 12 }),
      fc.constantFrom<'never' | 'stored'>('never', 'stored'),
      (blocks, huffman) => {
        const encoder = new HpackEncoder({ huffman });
        const decoder = newDecoder();
        for (const [list, allowed] of blocks) {
          if (allowed !== null) encoder.allow(allowed);
          const decoded: Field[] = [];
          expect(decoder.decode(Buffer.from(encoder.encode(list)), decoded)).toBe('decoded');
          expect(pairs(decoded)).toEqual(pairs(list));
          expect(pairs(decoder.entries())).toEqual(pairs(encoder.entries()));
          expect(decoder.tableSize).toBe(encoder.tableSize);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a field that is never to be indexed is still so when it is sent on', () => {
  const encoder = new HpackEncoder();
  const secret = makeField('authorization', 'Bearer x', indexing.never);
  for (let hop = 0; hop < 2; hop += 1) {
    const decoded: Field[] = [];
    newDecoder().decode(Buffer.from(encoder.encode([secret])), decoded);
    expect(decoded[0]?.indexing).toBe(indexing.never);
  }
  expect([...encoder.entries()]).toEqual([]);
});

test('damaged blocks are refused or decoded and never throw', () => {
  const seeds = blockVectors.flatMap(({ blocks }) => blocks.map(({ block }) => block));
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.nat(100),
      fc.uint8Array({ maxLength: 4 }),
      (seed, at, more) => {
        const bytes = Buffer.from(seed, 'hex');
        const cut = at % (bytes.length + 1);
        const damaged = Buffer.concat([bytes.subarray(0, cut), more, bytes.subarray(cut + 1)]);
        expect(newDecoder().decode(damaged, [])).toMatch(/^[a-z_]+$/);
      },
    ),
    { numRuns: 500 },
  );
});

test('a block of small numbers that stand for large fields is cut off at the bound on the list', () => {
  const decoder = newDecoder();
  const bomb = Buffer.concat([
    new HpackEncoder().encode([makeField('x-bomb', 'a'.repeat(4000))]),
    Buffer.alloc(16_000, 0xbe),
  ]);
  const decoded: Field[] = [];
  expect(decoder.decode(bomb, decoded)).toBe('list_too_large');
  expect(decoded.length).toBeLessThan(20);
  // The tables are still in step.
  expect(decoder.decode(Buffer.from([0xbe]), [])).toBe('decoded');
});

function huffmanRoundTrip(text: string): string {
  const coded = Buffer.alloc(text.length * 4 + 4);
  const end = huffmanEncode(text, coded, 0);
  expect(end).toBe(huffmanLength(text));
  const decoded = Buffer.alloc(decodedLengthMax(end) + 1);
  const length = huffmanDecode(coded, 0, end, decoded);
  return decoded.toString('latin1', 0, Math.max(length, 0));
}

function newDecoder(tableSizeMax = 4096): HpackDecoder {
  return new HpackDecoder({ tableSizeMax, listSizeMax: 64 * 1024 });
}

function latin1(maxLength: number): fc.Arbitrary<string> {
  return fc.uint8Array({ maxLength }).map((data) => Buffer.from(data).toString('latin1'));
}

function pairs(list: Iterable<Field>): Pair[] {
  return Array.from(list, ({ name, value }) => [name, value] as const);
}

function readText(name: string): string {
  const url = new URL(`../../../../test/vectors/hpack/${name}`, import.meta.url);
  return readFileSync(url, 'utf8');
}
