/** HTTP/2 by its connection preface (RFC 9113 §3.4), which every client sends first. */

import { Buffer } from 'node:buffer';
import type { Match } from '../detect/protocol-matcher.ts';

export function matchHttp2(bytes: Buffer): Match {
  const length = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return 'no';
  return bytes.length < preface.length ? 'need_more' : 'yes';
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
