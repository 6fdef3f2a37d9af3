/**
 * An upgrade of HTTP/1.1 (RFC 9110 §7.8) as an extended CONNECT of HTTP/2 (RFC 8441), and the other way. Inside
 * the proxy a tunnel is always what HTTP/1.1 calls it, so that one policy and one way of counting holds for both.
 */

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { HeadEdits } from '../http1/head-edits.ts';
import type { Http1ErrorEvent } from '../http1/http1-event.ts';
import { RequestDecoder } from '../http1/request-decoder.ts';
import type { RequestHead as Http1RequestHead } from '../http1/request-head.ts';
import { ResponseDecoder } from '../http1/response-decoder.ts';
import type { ResponseHead as Http1ResponseHead } from '../http1/response-head.ts';
import { type Field, makeField } from '../http2/field.ts';
import { Http2RequestHead } from '../http2/request-head.ts';
import type { Http2ResponseHead } from '../http2/response-head.ts';
import { encodeTranslatedRequestHead } from './request-to-http1.ts';
import { requestFields, responseFields } from './to-http2.ts';

/**
 * The request that HTTP/1.1 would have made. `key` is 16 bytes that no other request has: RFC 8441 §5 leaves
 * the key out, and RFC 6455 §4.1 wants one.
 */
export function upgradeRequest(
  head: Http2RequestHead,
  key: Uint8Array,
): Http1RequestHead | Http1ErrorEvent {
  const { scheme, authority, pathAndQuery, connectProtocol = '', headers } = head;
  const parts = { method: 'GET', scheme, authority, path: pathAndQuery };
  const key64 = Buffer.from(key).toString('base64');
  const edits: HeadEdits = connectProtocol === 'websocket' ? { set: [[keyField, key64]] } : {};
  const get = new Http2RequestHead(parts, true, headers, undefined);
  const decoder = new RequestDecoder();
  // What it offers stands before the empty line at its end.
  decoder.push(encodeTranslatedRequestHead(get, edits).subarray(0, -2));
  decoder.push(Buffer.from(`upgrade: ${connectProtocol}\r\nconnection: upgrade\r\n\r\n`, 'latin1'));
  const event = decoder.next();
  if (event.kind === 'head') return event.head;
  // A head that is whole is a head or an error.
  return event.kind === 'error' ? event : notOneHead;
}

/** The answer to an extended CONNECT whose protocol the server of HTTP/1.1 has changed to (RFC 8441 §4). */
export function connectedFields(head: Http1ResponseHead): Field[] {
  const [, ...fields] = responseFields(head);
  return [makeField(':status', '200'), ...fields.filter(({ name }) => name !== acceptField)];
}

/** What is answered where the server took an extended CONNECT for a GET: a 2xx would say that a tunnel is open. */
export function declinedFields(head: Http1ResponseHead | Http2ResponseHead): Field[] {
  const [status, ...fields] = responseFields(head);
  const isSuccess = head.status >= 200 && head.status < 300;
  return [isSuccess || status === undefined ? makeField(':status', '502') : status, ...fields];
}

/** The extended CONNECT for a GET that offers to upgrade to `protocol`. */
export function connectFields(
  head: Http1RequestHead,
  edits: HeadEdits,
  scheme: string,
  protocol: string,
): Field[] {
  const [, ...fields] = requestFields(head, edits, scheme);
  return [
    makeField(':method', 'CONNECT'),
    makeField(':protocol', protocol),
    ...fields.filter(({ name }) => name !== keyField),
  ];
}

/** The 101 that stands for a 2xx to our extended CONNECT; `request` is what that was made of. */
export function upgradedResponse(
  head: Http2ResponseHead,
  request: Http1RequestHead,
  protocol: string,
): Http1ResponseHead | Http1ErrorEvent {
  let lines = `HTTP/1.1 101 Switching Protocols\r\n`;
  for (const [name, value] of head.headers.entries()) {
    // RFC 9110 §9.3.6: a tunnel has no length.
    if (name !== acceptField && name !== 'content-length') lines += `${name}: ${value}\r\n`;
  }
  const key = request.headers.get(keyField);
  if (key !== undefined) lines += `${acceptField}: ${acceptOf(key)}\r\n`;
  const decoder = new ResponseDecoder();
  decoder.expect(request.method, protocol);
  decoder.push(
    Buffer.from(`${lines}upgrade: ${protocol}\r\nconnection: upgrade\r\n\r\n`, 'latin1'),
  );
  const event = decoder.next();
  if (event.kind === 'head') return event.head;
  return event.kind === 'error' ? event : notOneHead;
}

/** RFC 6455 §4.2.2: what shows a client that its handshake was understood. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

const keyField = 'sec-websocket-key';
const acceptField = 'sec-websocket-accept';
const notOneHead: Http1ErrorEvent = Object.freeze({
  kind: 'error',
  code: 'header_name_invalid',
  status: 400,
  detail: 'the head is none of HTTP/1.1',
});
