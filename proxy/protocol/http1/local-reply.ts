/** Answers the proxy gives itself, whole in one buffer. */

import { Buffer } from 'node:buffer';
import { checkField, type HeaderField, Http1EncodeError } from './head-edits.ts';
import { isEvery, isFieldOctet } from './octets.ts';

export interface LocalReply {
  /** A final status, 200–599. */
  readonly status: number;
  /** Instead of the registered phrase. */
  readonly reason?: string;
  readonly body?: string | Uint8Array;
  /** Content-Length and Connection are written by the codec. */
  readonly headers?: readonly HeaderField[];
  /** Announces that the connection ends with this reply. */
  readonly close?: boolean;
  /** Announces keep-alive to a client of HTTP/1.0, which would take silence for close. */
  readonly keepAlive?: boolean;
  /** The reply is to HEAD: the length of the body is stated, the body not sent (RFC 9110 §9.3.2). */
  readonly omitBody?: boolean;
}

/** Throws {@link Http1EncodeError} on a status or field that cannot be sent. */
export function encodeLocalReply(reply: LocalReply): Buffer {
  const { status, headers = [] } = reply;
  const reason = reply.reason ?? reasonPhrase(status);
  if (!Number.isInteger(status) || status < 200 || status > 599 || !isEvery(isFieldOctet, reason)) {
    throw new Http1EncodeError(
      'status_invalid',
      `${status} ${JSON.stringify(reason)} is no status`,
    );
  }
  const body = bodyBytes(reply.body);
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (const [name, value] of headers) {
    checkField(name, value);
    head += `${name}: ${value}\r\n`;
  }
  const isBodiless = status === 204 || status === 304;
  if (isBodiless && body.length > 0) {
    throw new Http1EncodeError('framing_impossible', `a ${status} reply has no body`);
  }
  if (!isBodiless) head += `Content-Length: ${body.length}\r\n`;
  if (reply.close === true) head += 'Connection: close\r\n';
  else if (reply.keepAlive === true) head += 'Connection: keep-alive\r\n';
  head += '\r\n';
  const headBytes = Buffer.from(head, 'latin1');
  return reply.omitBody === true || body.length === 0
    ? headBytes
    : Buffer.concat([headBytes, body]);
}

/** The registered phrase (RFC 9110 §15), or none. */
export function reasonPhrase(status: number): string {
  return phrases.get(status) ?? '';
}

/** What a client that sent `Expect: 100-continue` waits for. Shared, never to be written to. */
export const continueReply: Buffer = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');

function bodyBytes(body: string | Uint8Array = ''): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
}

// Those a proxy gives itself.
const phrases: ReadonlyMap<number, string> = new Map([
  [200, 'OK'],
  [204, 'No Content'],
  [301, 'Moved Permanently'],
  [302, 'Found'],
  [303, 'See Other'],
  [304, 'Not Modified'],
  [307, 'Temporary Redirect'],
  [308, 'Permanent Redirect'],
  [400, 'Bad Request'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'Not Found'],
  [405, 'Method Not Allowed'],
  [408, 'Request Timeout'],
  [413, 'Content Too Large'],
  [414, 'URI Too Long'],
  [417, 'Expectation Failed'],
  [421, 'Misdirected Request'],
  [426, 'Upgrade Required'],
  [429, 'Too Many Requests'],
  [431, 'Request Header Fields Too Large'],
  [500, 'Internal Server Error'],
  [501, 'Not Implemented'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
  [505, 'HTTP Version Not Supported'],
]);
