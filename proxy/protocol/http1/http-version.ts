/** The version in a start line (RFC 9112 §2.3): HTTP/1.0 and HTTP/1.1 are spoken, nothing else. */

import { Buffer } from 'node:buffer';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';

export type MinorVersion = 0 | 1;

/** Bytes of `HTTP/1.1`. */
export const versionLength = 8;

/** The minor version of the eight bytes at `start`, or undefined if they are neither version. */
export function minorVersionAt(bytes: Buffer, start: number): MinorVersion | undefined {
  for (let at = 0; at < prefix.length; at += 1) {
    if (bytes[start + at] !== prefix[at]) return undefined;
  }
  const digit = bytes[start + prefix.length];
  if (digit === one) return 1;
  return digit === zero ? 0 : undefined;
}

/** Tells a version that exists or could exist (505) from text that is no version (400). */
export function refuseVersion(bytes: Buffer, start: number, end: number): Http1ErrorEvent {
  const text = bytes.toString('latin1', start, Math.min(end, start + versionLength));
  return /^HTTP\/\d\.\d$/.test(text)
    ? refuse('version_unsupported', `version ${text.slice(5)} is not 1.0 or 1.1`, 505)
    : refuse('version_invalid', 'the start line has no HTTP version where one is due');
}

const prefix = Buffer.from('HTTP/1.', 'latin1');
const zero = 0x30;
const one = 0x31;
