/** What a certified key may be used for (RFC 5280 §4.2.1.3). */

import { equalBytes } from '../../core/index.ts';
import { DerError } from '../der/der-error.ts';
import { encodeNamedBits } from '../der/encode.ts';
import { readDer } from '../der/reader.ts';

export type KeyUsage = (typeof keyUsages)[number];

export function decodeKeyUsage(value: Uint8Array): ReadonlySet<KeyUsage> {
  const { bytes } = readDer(value, (reader) => reader.bitString());
  const usages = new Set(
    keyUsages.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0),
  );
  // RFC 5280 §4.2.1.3: at least one bit; writing it again finds unknown bits and trailing zeros.
  if (usages.size === 0 || !equalBytes(encodeKeyUsage(usages), value)) {
    throw new DerError('der_bit_string', 'key usage is empty or not in its shortest form');
  }
  return usages;
}

export function encodeKeyUsage(usages: Iterable<KeyUsage>): Uint8Array {
  return encodeNamedBits([...usages].map((usage) => keyUsages.indexOf(usage)));
}

// In the order of the bits.
const keyUsages = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
