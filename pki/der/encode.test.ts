import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../core/index.ts';
import {
  encodeBitString,
  encodeExplicit,
  encodeImplicit,
  encodeInteger,
  encodeNamedBits,
  encodeNull,
  encodeObjectIdentifier,
  encodeOctetString,
  encodePrintableString,
  encodeSet,
} from './encode.ts';
import { readDer } from './reader.ts';
import { encodeTime } from './time.ts';

test.for([
  ['zero', encodeInteger(0), '020100'],
  ['127', encodeInteger(127), '02017f'],
  ['128 takes a sign octet', encodeInteger(128), '02020080'],
  ['a magnitude with leading zeros', encodeInteger(Uint8Array.of(0, 0, 1)), '020101'],
  ['a magnitude with its top bit set', encodeInteger(Uint8Array.of(0xff)), '020200ff'],
  ['an empty magnitude', encodeInteger(new Uint8Array()), '020100'],
  ['null', encodeNull(), '0500'],
  ['named bits without trailing zeros', encodeNamedBits([5, 6]), '03020106'],
  ['a named bit of the second octet', encodeNamedBits([8]), '0303070080'],
  ['no named bits', encodeNamedBits([]), '030100'],
  [
    'a set in the order of its bytes',
    encodeSet(encodeInteger(2), encodeInteger(1)),
    '3106020101020102',
  ],
  ['explicit', encodeExplicit(3, encodeNull()), 'a3020500'],
  ['implicit', encodeImplicit(6, Uint8Array.of(0x61)), '860161'],
  ['bits', encodeBitString(Uint8Array.of(0xf0), 4), '030204f0'],
  ['an object identifier', encodeObjectIdentifier('2.999.3'), '0603883703'],
  [
    'the last second of UTCTime',
    encodeTime(Date.UTC(2049, 11, 31, 23, 59, 59, 999)),
    '170d3439313233313233353935395a',
  ],
  [
    'the first second of GeneralizedTime',
    encodeTime(Date.UTC(2050, 0)),
    '180f32303530303130313030303030305a',
  ],
] as const)('%s', ([, encoded, hex]) => {
  expect(toHex(encoded)).toBe(hex);
});

describe('what has no encoding is refused', () => {
  test.for([
    ['a negative integer', () => encodeInteger(-1), 'der_integer'],
    ['a fraction', () => encodeInteger(0.5), 'der_integer'],
    ['an unsafe integer', () => encodeInteger(2 ** 53), 'der_integer'],
    ['an arc with a leading zero', () => encodeObjectIdentifier('1.02'), 'der_object_identifier'],
    ['a first arc of 3', () => encodeObjectIdentifier('3.1'), 'der_object_identifier'],
    ['a second arc of 40 under 1', () => encodeObjectIdentifier('1.40'), 'der_object_identifier'],
    ['one arc', () => encodeObjectIdentifier('1'), 'der_object_identifier'],
    ['an asterisk in PrintableString', () => encodePrintableString('*'), 'der_string'],
    ['the year 1949', () => encodeTime(Date.UTC(1949, 11, 31)), 'der_time'],
    ['the year 10000', () => encodeTime(Date.UTC(10_000, 0)), 'der_time'],
    ['no time', () => encodeTime(Number.NaN), 'der_time'],
    ['content of 16 MiB', () => encodeOctetString(new Uint8Array(2 ** 24)), 'der_size'],
  ] as const)('%s', ([, encode, code]) => {
    expect(encode).toThrow(expect.objectContaining({ code }));
  });
});

describe('what is written reads back', () => {
  property.prop([fc.integer({ min: Date.UTC(1950, 0), max: Date.UTC(10_000, 0) - 1 })])(
    'times, to the second',
    (instantMs) => {
      const read = readDer(encodeTime(instantMs), (reader) => reader.time());
      expect(read).toBe(Math.floor(instantMs / 1000) * 1000);
    },
  );

  property.prop([fc.nat({ max: 2 ** 31 - 1 })])('integers', (value) => {
    expect(readDer(encodeInteger(value), (reader) => reader.smallInteger())).toBe(value);
  });

  const arc = fc.bigInt({ min: 0n, max: 2n ** 128n });
  property.prop([
    fc.constantFrom('0', '1', '2'),
    fc.nat({ max: 39 }),
    fc.array(arc, { maxLength: 3 }),
  ])('object identifiers', (first, second, rest) => {
    const dotted = [first, second, ...rest].join('.');
    expect(readDer(encodeObjectIdentifier(dotted), (reader) => reader.objectIdentifier())).toBe(
      dotted,
    );
  });

  property.prop([fc.nat({ max: 70_000 })])('lengths', (length) => {
    const encoded = encodeOctetString(new Uint8Array(length));
    // 64 KiB is the most the reader takes; the header is checked by the total either way.
    if (encoded.length > 65_536) return;
    expect(readDer(encoded, (reader) => reader.octetString()).length).toBe(length);
  });
});
