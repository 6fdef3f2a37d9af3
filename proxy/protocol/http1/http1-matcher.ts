/**
 * HTTP/1.1 by its whole request line: a method alone would take `GET key` of Redis or `HELO` of SMTP for a
 * request, and its strict decoder would then answer where a relay was wanted.
 */

import type { Buffer } from 'node:buffer';
import type { Match } from '../detect/protocol-matcher.ts';

export function matchHttp1(bytes: Buffer): Match {
  const lineEnd = bytes.indexOf(lineFeed);
  const end = lineEnd === -1 ? bytes.length : lineEnd;
  const methodEnd = bytes.indexOf(space);
  const isInMethod = methodEnd === -1 || methodEnd >= end;
  const method = bytes.toString('latin1', 0, isInMethod ? end : methodEnd);
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/.test(method)) return 'no';
  if (isInMethod) return lineEnd === -1 ? 'need_more' : 'no';
  for (let at = methodEnd; at < end; at += 1) {
    const octet = bytes[at] ?? 0;
    // The first half of CR LF stands last.
    if (octet < space && octet !== tab && (octet !== carriageReturn || at !== end - 1)) return 'no';
  }
  if (lineEnd === -1) return 'need_more';
  // Right or wrong in its details, this wants to be HTTP/1, and is to be told what is wrong with it.
  return bytes.subarray(methodEnd, end).includes(' HTTP/1') ? 'yes' : 'no';
}

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
