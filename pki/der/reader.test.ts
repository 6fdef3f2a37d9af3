import { Buffer } from 'node:buffer';
import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../core/index.ts';
import vectors from '../../test/vectors/x509/der.json' with { type: 'json' };
import { derTree, encodeTree, readTree } from '../../test/fakes/der-tree.ts';
import { checkDer } from './check.ts';
import { DerError } from './der-error.ts';
import { encodeOctetString, encodeSequence } from './encode.ts';
import { derBytesMax, type DerReader, readDer } from './reader.ts';

test.for(vectors)('$name', ({ input: { type, hex }, expected }) => {
  const bytes = fromHexText(hex);
  expect(outcome(() => read(type, bytes))).toBe(expected);
});

describe('what is read is bounded', () => {
  const atBound = encodeOctetString(new Uint8Array(derBytesMax - 4));

  test('as many bytes as allowed', () => {
    expect(atBound.length).toBe(derBytesMax);
    checkDer(atBound);
    expect(readDer(atBound, (reader) => reader.octetString()).length).toBe(derBytesMax - 4);
  });

  test('one byte more', () => {
    const over = encodeOctetString(new Uint8Array(derBytesMax - 3));
    expect(outcome(() => checkDer(over))).toBe('der_size');
    expect(outcome(() => readDer(over, (reader) => reader.octetString()))).toBe('der_size');
  });

  test('lists', () => {
    const list = encodeSequence(...Array.from({ length: 3 }, () => encodeOctetString()));
    const count = (most: number): number =>
      readDer(list, (reader) =>
        reader.sequence((items) => items.each(most, (item) => item.octetString())),
      ).length;
    expect(count(3)).toBe(3);
    expect(outcome(() => count(2))).toBe('der_size');
  });

  test('depth, where elements are read one by one', () => {
    const nested = (depth: number): Uint8Array =>
      depth === 0 ? encodeOctetString() : encodeSequence(nested(depth - 1));
    const descend = (reader: DerReader): void =>
      reader.peekTag() === 0x30 ? reader.sequence(descend) : void reader.octetString();
    readDer(nested(16), descend);
    expect(outcome(() => readDer(nested(17), descend))).toBe('der_depth');
  });
});

describe('a reader must be read to its end', () => {
  const two = encodeSequence(encodeOctetString(), encodeOctetString());

  test('inside a sequence', () => {
    expect(outcome(() => readDer(two, (reader) => reader.sequence((items) => items.skip())))).toBe(
      'der_trailing',
    );
    readDer(two, (reader) => reader.sequence((items) => [items.skip(), items.skip()]));
  });

  test('and never beyond', () => {
    const overRead = (items: DerReader): number[] => [items.skip(), items.skip(), items.skip()];
    expect(outcome(() => readDer(two, (reader) => reader.sequence(overRead)))).toBe(
      'der_truncated',
    );
  });
});

describe('every DER tree', () => {
  property.prop([derTree()])('is accepted', (tree) => {
    checkDer(encodeTree(tree));
  });

  property.prop([derTree()])('is refused when cut anywhere', (tree) => {
    const bytes = encodeTree(tree);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => checkDer(bytes.subarray(0, length))).toThrow(DerError);
    }
  });

  property.prop([derTree(), fc.nat(), fc.integer({ min: 1, max: 255 })])(
    'with one byte changed is either refused or the only encoding of what it then says',
    (tree, position, difference) => {
      const bytes = Uint8Array.from(encodeTree(tree));
      const index = position % bytes.length;
      bytes[index] = (bytes[index] ?? 0) ^ difference;
      if (outcome(() => checkDer(bytes)).startsWith('der_')) return;
      expect(toHex(encodeTree(readTree(bytes)))).toBe(toHex(bytes));
    },
  );

  property.prop([fc.uint8Array({ maxLength: 64 })])(
    'of random bytes never fails otherwise',
    (bytes) => {
      outcome(() => checkDer(bytes));
    },
  );
});

function read(type: string, bytes: Uint8Array): string {
  if (type === 'any') {
    checkDer(bytes);
    return 'ok';
  }
  return readDer(bytes, (reader) => {
    switch (type) {
      case 'boolean':
        return String(reader.boolean());
      case 'booleanDefaultFalse':
        return String(reader.booleanDefaultFalse());
      case 'integer':
        return toHex(reader.integer());
      case 'smallInteger':
        return String(reader.smallInteger());
      case 'null':
        reader.null();
        return 'null';
      case 'bitString': {
        const { unusedBits, bytes: bits } = reader.bitString();
        return `${unusedBits}:${toHex(bits)}`;
      }
      case 'objectIdentifier':
        return reader.objectIdentifier();
      case 'string':
        return reader.string();
      case 'time':
        return new Date(reader.time()).toISOString();
      default:
        throw new Error(`no reader for ${type}`);
    }
  });
}

function outcome(action: () => unknown): string {
  try {
    return String(action());
  } catch (error) {
    if (error instanceof DerError) return error.code;
    throw error;
  }
}

function fromHexText(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
