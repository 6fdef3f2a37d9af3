/**
 * A request that came in HTTP/2, as the head of HTTP/1.1 (RFC 9113 §8.3, RFC 9112 §3). Its codec has found
 * every part free of what could end a line or a token, so that nothing here can become a second request.
 */

import { Buffer } from 'node:buffer';
import { foldedName, isDroppedName } from './dropped-fields.ts';
import type { HeadEdits } from '../http1/head-edits.ts';
import { droppedNames, editedLines } from '../http1/head-writer.ts';
import { fieldKind } from '../http2/field.ts';
import type { Http2RequestHead } from '../http2/request-head.ts';

/** CONNECT is not translated. Throws Http1EncodeError on a bad edit. */
export function encodeTranslatedRequestHead(head: Http2RequestHead, edits: HeadEdits): Buffer {
  const dropped = droppedNames(edits, noNames);
  let lines = '';
  let acceptsTrailers = false;
  const { all, from } = head.headers;
  for (let at = from; at < all.length; at += 1) {
    const field = all[at];
    if (field === undefined) break;
    const { kind } = field;
    if (kind === fieldKind.te) acceptsTrailers = true;
    // §8.2.3: the crumbs of a cookie become one field again, below.
    if (kind === fieldKind.te || kind === fieldKind.host || kind === fieldKind.cookie) continue;
    if (isDroppedName(dropped, foldedName(field.name))) continue;
    lines += `${field.name}: ${field.value}\r\n`;
  }
  const cookie = head.headers.get('cookie');
  if (cookie !== undefined && !isDroppedName(dropped, 'cookie')) lines += `cookie: ${cookie}\r\n`;
  lines += editedLines(edits) + framingLine(head);
  // RFC 9110 §10.1.4: who sends TE names it in Connection.
  if (acceptsTrailers) lines += 'TE: trailers\r\nConnection: TE\r\n';
  return Buffer.from(
    `${head.method} ${head.pathAndQuery} HTTP/1.1\r\nHost: ${head.authority}\r\n${lines}\r\n`,
    'latin1',
  );
}

/** A length that was stated is among the fields; without one, only chunks can tell where a body ends. */
function framingLine(head: Http2RequestHead): string {
  if (head.contentLength !== undefined) return '';
  if (!head.isWhole) return 'Transfer-Encoding: chunked\r\n';
  // RFC 9110 §8.6: where the method means a body to come, its absence is said.
  return bodyMethods.has(head.method) ? 'Content-Length: 0\r\n' : '';
}

const noNames: readonly string[] = [];
const bodyMethods: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);
