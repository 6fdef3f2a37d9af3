/** A response that came in HTTP/2, as the head of HTTP/1.1. */

import { Buffer } from 'node:buffer';
import type { ResponseHeadEdits } from '../http1/head-edits.ts';
import { reasonPhrase } from '../http1/local-reply.ts';
import { type Framing, noBody, untilClose } from '../http1/message-framing.ts';
import { fieldKind } from '../http2/field.ts';
import type { Http2ResponseHead } from '../http2/response-head.ts';

/** How its body is framed for a client that knows chunks; one that does not is given the rest by `framingToward`. */
export function http1FramingOf(head: Http2ResponseHead): Framing {
  const { status, contentLength } = head;
  if (status < 200 || status === 204 || status === 304) return noBody;
  if (contentLength !== undefined) return { kind: 'length', length: contentLength };
  return head.isWhole ? { kind: 'length', length: 0 } : untilClose;
}

/** What the codec of HTTP/2 let through has no byte that could end a line. */
export function encodeTranslatedResponseHead(
  head: Http2ResponseHead,
  { framing = noBody, connection }: ResponseHeadEdits = {},
): Buffer {
  let lines = `HTTP/1.1 ${head.status} ${reasonPhrase(head.status)}\r\n`;
  const { all, from } = head.headers;
  // RFC 9110 §8.6: no length in 1xx and 204.
  const keepsLength = head.status >= 200 && head.status !== 204;
  for (let at = from; at < all.length; at += 1) {
    const field = all[at];
    if (field === undefined) break;
    if (field.kind === fieldKind.contentLength && !keepsLength) continue;
    lines += `${field.name}: ${field.value}\r\n`;
  }
  if (framing.kind === 'chunked') lines += 'Transfer-Encoding: chunked\r\n';
  if (framing.kind === 'length' && head.contentLength === undefined) {
    lines += `Content-Length: ${framing.length}\r\n`;
  }
  if (framing.kind === 'until_close') lines += 'Connection: close\r\n';
  else if (connection !== undefined) lines += `Connection: ${connection}\r\n`;
  return Buffer.from(`${lines}\r\n`, 'latin1');
}
