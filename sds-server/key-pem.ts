/**
 * A private key as PEM in bytes that can be wiped.
 *
 * `KeyObject.export({ format: 'pem' })` answers a JavaScript string, which stays on the heap until the
 * collector finds it and cannot be overwritten. Here the text exists only in buffers of ours.
 */

import { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';

/** RFC 7468 `PRIVATE KEY` (PKCS#8, not encrypted). Whoever calls overwrites the result after use. */
export function privateKeyPemBytes(key: KeyObject): Buffer {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const pem = Buffer.alloc(pemLength(der.length));
  let offset = pem.write(header, 0, 'latin1');
  for (let from = 0; from < der.length; from += lineBytes) {
    offset = writeBase64Line(pem, offset, der.subarray(from, from + lineBytes));
  }
  pem.write(footer, offset, 'latin1');
  der.fill(0);
  return pem;
}

function writeBase64Line(pem: Buffer, start: number, bytes: Uint8Array): number {
  let offset = start;
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const group =
      ((bytes[index] ?? 0) << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    pem[offset] = digit(group >>> 18);
    pem[offset + 1] = digit(group >>> 12);
    pem[offset + 2] = left > 1 ? digit(group >>> 6) : padding;
    pem[offset + 3] = left > 2 ? digit(group) : padding;
    offset += 4;
  }
  pem[offset] = newline;
  return offset + 1;
}

function digit(group: number): number {
  return alphabet[group & 0x3f] ?? padding;
}

function pemLength(derLength: number): number {
  const digits = Math.ceil(derLength / 3) * 4;
  return header.length + digits + Math.ceil(derLength / lineBytes) + footer.length;
}

const header = '-----BEGIN PRIVATE KEY-----\n';
const footer = '-----END PRIVATE KEY-----\n';
// RFC 7468 §2: 64 characters a line.
const lineBytes = 48;
const newline = 0x0a;
const padding = 0x3d;
const alphabet = Buffer.from(
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
  'latin1',
);
