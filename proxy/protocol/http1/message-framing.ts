/** Where the body of a message ends (RFC 9112 §6.3), decided without doubt or refused. */

import type { HeaderBlock } from './header-block.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import type { MinorVersion } from './http-version.ts';
import { knownField } from './known-field.ts';

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** Responses only: the body ends with the connection. */
  | { readonly kind: 'until_close' }
  /** Responses only: what follows is no HTTP any more, in both directions (RFC 9110 §7.8, §9.3.6). */
  | { readonly kind: 'tunnel' };

/**
 * What the two length fields say together, or why they are refused. `none` means that neither is
 * there. Every case in which two recipients could disagree is an error, even where RFC 9112 §6.3
 * would allow a repair, since the next hop may repair differently.
 */
export function readFraming(
  headers: HeaderBlock,
  minorVersion: MinorVersion,
  bodyBytesMax: number,
): Framing | Http1ErrorEvent {
  if (headers.hasKnown(knownField.disguised)) {
    return refuse('header_name_invalid', 'a length field written with an underscore');
  }
  const hasLength = headers.hasKnown(knownField.contentLength);
  if (headers.hasKnown(knownField.transferEncoding)) {
    return hasLength
      ? refuse(
          'content_length_and_transfer_encoding',
          'Content-Length and Transfer-Encoding in one message',
        )
      : readTransferEncoding(headers, minorVersion);
  }
  return hasLength ? readContentLength(headers, bodyBytesMax) : noBody;
}

/**
 * How a response body is framed towards a client that speaks `minorVersion`: HTTP/1.0 knows no
 * chunks (RFC 9112 §7.1), and for HTTP/1.1 chunks spare the connection where only its end would
 * tell the end of the body.
 */
export function framingToward(framing: Framing, minorVersion: MinorVersion): Framing {
  if (framing.kind === 'chunked' && minorVersion === 0) return untilClose;
  if (framing.kind === 'until_close' && minorVersion === 1) return chunked;
  return framing;
}

function readTransferEncoding(
  headers: HeaderBlock,
  minorVersion: MinorVersion,
): Framing | Http1ErrorEvent {
  // RFC 9112 §6.1: in HTTP/1.0 the framing is faulty, because the sender may not know the field.
  if (minorVersion === 0) {
    return refuse('transfer_encoding_forbidden', 'Transfer-Encoding in an HTTP/1.0 message');
  }
  if (headers.isRepeated(knownField.transferEncoding)) {
    return refuse('transfer_encoding_repeated', 'more than one Transfer-Encoding field');
  }
  const value = (headers.known(knownField.transferEncoding) ?? '').toLowerCase();
  if (value === 'chunked') return chunked;
  // RFC 9112 §6.1: 501 for a coding that is not understood, if the end of the body would be known.
  return /^(?:(?!chunked\b)[!#$%&'*+.^_`|~0-9a-z-]+[ \t]*,[ \t]*)+chunked$/.test(value)
    ? refuse(
        'transfer_encoding_unsupported',
        'Transfer-Encoding names a coding besides chunked',
        501,
      )
    : refuse('transfer_encoding_invalid', 'Transfer-Encoding is not exactly "chunked"');
}

function readContentLength(headers: HeaderBlock, bodyBytesMax: number): Framing | Http1ErrorEvent {
  // RFC 9112 §6.3 would let equal values be joined; no honest sender repeats them.
  if (headers.isRepeated(knownField.contentLength)) {
    return refuse('content_length_repeated', 'more than one Content-Length field');
  }
  const at = headers.indexOfKnown(knownField.contentLength);
  const start = headers.fields[at + 2] ?? 0;
  const end = headers.fields[at + 3] ?? 0;
  if (end === start || end - start > lengthDigitsMax) return invalidLength;
  // Read in one base by everybody only without a leading zero.
  if (headers.raw[start] === zero && end - start > 1) return invalidLength;
  let length = 0;
  for (let position = start; position < end; position += 1) {
    const digit = (headers.raw[position] ?? 0) - zero;
    if (digit < 0 || digit > 9) return invalidLength;
    length = length * 10 + digit;
  }
  if (length > Number.MAX_SAFE_INTEGER) return invalidLength;
  if (length > bodyBytesMax) {
    return refuse('body_too_large', `Content-Length ${length} exceeds ${bodyBytesMax}`, 413);
  }
  return length === 0 ? emptyBody : { kind: 'length', length };
}

export const noBody: Framing = Object.freeze({ kind: 'none' });
export const untilClose: Framing = Object.freeze({ kind: 'until_close' });
export const tunnel: Framing = Object.freeze({ kind: 'tunnel' });
const chunked: Framing = Object.freeze({ kind: 'chunked' });
const emptyBody: Framing = Object.freeze({ kind: 'length', length: 0 });

const invalidLength = Object.freeze(
  refuse('content_length_invalid', 'Content-Length is not one decimal number'),
);

const zero = 0x30;
// Number.MAX_SAFE_INTEGER has 16.
const lengthDigitsMax = 16;
