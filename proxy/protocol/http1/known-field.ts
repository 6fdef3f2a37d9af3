/** The field names that decide framing, routing or the connection, recognised once while scanning. */

import { Buffer } from 'node:buffer';
import { lowerOctet } from './octets.ts';

/** A small number per name, so that it fits the offset table and a bit of a mask. 0 is any other name. */
export const knownField = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  upgrade: 5,
  expect: 6,
  te: 7,
  keepAlive: 8,
  proxyConnection: 9,
  /** `Content_Length` and `Transfer_Encoding`, which gateway interfaces such as CGI's take for the real ones. */
  disguised: 10,
} as const;

export type KnownField = (typeof knownField)[keyof typeof knownField];

/** Which known name stands at `start`, whatever its case. */
export function knownFieldAt(bytes: Buffer, start: number, end: number): KnownField {
  // Most names begin with a letter that none of these begins with.
  if (isFirstLetter[bytes[start] ?? 0] !== 1) return knownField.other;
  switch (end - start) {
    case 2:
      return matches(bytes, start, te, knownField.te);
    case 4:
      return matches(bytes, start, host, knownField.host);
    case 6:
      return matches(bytes, start, expect, knownField.expect);
    case 7:
      return matches(bytes, start, upgrade, knownField.upgrade);
    case 10:
      return (
        matches(bytes, start, connection, knownField.connection) ||
        matches(bytes, start, keepAlive, knownField.keepAlive)
      );
    case 14:
      return (
        matches(bytes, start, contentLength, knownField.contentLength) ||
        matches(bytes, start, disguisedContentLength, knownField.disguised)
      );
    case 16:
      return matches(bytes, start, proxyConnection, knownField.proxyConnection);
    case 17:
      return (
        matches(bytes, start, transferEncoding, knownField.transferEncoding) ||
        matches(bytes, start, disguisedTransferEncoding, knownField.disguised)
      );
    default:
      return knownField.other;
  }
}

/** Whether the bytes `[start, end)` spell `lowerName`, whatever their case. */
export function namesEqual(bytes: Buffer, start: number, end: number, lowerName: string): boolean {
  const { length } = lowerName;
  if (end - start !== length) return false;
  for (let at = 0; at < length; at += 1) {
    if (lowerOctet[bytes[start + at] ?? 0] !== lowerName.charCodeAt(at)) return false;
  }
  return true;
}

function matches(bytes: Buffer, start: number, lowerName: string, field: KnownField): KnownField {
  return namesEqual(bytes, start, start + lowerName.length, lowerName) ? field : knownField.other;
}

const te = 'te';
const host = 'host';
const expect = 'expect';
const upgrade = 'upgrade';
const connection = 'connection';
const keepAlive = 'keep-alive';
const contentLength = 'content-length';
const proxyConnection = 'proxy-connection';
const transferEncoding = 'transfer-encoding';
const disguisedContentLength = 'content_length';
const disguisedTransferEncoding = 'transfer_encoding';

const isFirstLetter = new Uint8Array(256);
for (const letter of Buffer.from('ceHhkptuCEKPTU', 'latin1')) isFirstLetter[letter] = 1;
