import { expect, test } from 'vitest';
import { toHex } from '../core/index.ts';
import { DerError } from './der/der-error.ts';
import { encodeInteger, encodeObjectIdentifier, encodeSequence, encodeSet } from './der/encode.ts';
import { checkName, encodeName, formatName, isEmptyName } from './name.ts';

test('attributes become one RDN each, in a fixed order', () => {
  const name = encodeName({
    commonName: 'é',
    serialNumber: '12',
    organizationalUnit: 'b',
    organization: 'a',
    country: 'CH',
  });
  expect(formatName(name)).toBe('C=CH, O=a, OU=b, serialNumber=12, CN=é');
  expect(isEmptyName(name)).toBe(false);
  checkName(name);
});

test('the empty name', () => {
  expect(toHex(encodeName({}))).toBe('3000');
  expect(isEmptyName(encodeName({}))).toBe(true);
  expect(formatName(encodeName({}))).toBe('(empty)');
});

test('a country outside PrintableString is refused', () => {
  expect(() => encodeName({ country: 'é' })).toThrow(DerError);
});

test('a value that is no string is shown as its bytes, an unknown attribute by its identifier', () => {
  const pair = encodeSequence(encodeObjectIdentifier('1.2.3'), encodeInteger(5));
  expect(formatName(encodeSequence(encodeSet(pair)))).toBe('1.2.3=#05');
});
