/** Whether a certificate's subject is a CA, and how long a path may follow it (RFC 5280 §4.2.1.9). */

import { encodeBoolean, encodeInteger, encodeSequence } from '../der/encode.ts';
import { DerError } from '../der/der-error.ts';
import { readDer } from '../der/reader.ts';
import { tag } from '../der/tag.ts';

export interface BasicConstraints {
  readonly ca: boolean;
  /** How many CA certificates may follow, self-issued ones not counted. */
  readonly pathLength?: number;
}

export function decodeBasicConstraints(value: Uint8Array): BasicConstraints {
  return readDer(value, (reader) =>
    reader.sequence((constraints) => {
      const ca = constraints.booleanDefaultFalse();
      if (constraints.peekTag() !== tag.integer) return { ca };
      const pathLength = constraints.smallInteger();
      // A path length on something that is no CA has no meaning, so nobody may rely on it.
      if (!ca) throw new DerError('der_default', 'a path length without cA');
      return { ca, pathLength };
    }),
  );
}

export function encodeBasicConstraints({ ca, pathLength }: BasicConstraints): Uint8Array {
  return encodeSequence(
    ...(ca ? [encodeBoolean(true)] : []),
    ...(pathLength === undefined ? [] : [encodeInteger(pathLength)]),
  );
}
