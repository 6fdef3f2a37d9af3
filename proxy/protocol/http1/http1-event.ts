/** What the HTTP/1.1 decoders answer, and every reason for which they refuse a message. */

import type { Buffer } from 'node:buffer';
import type { NeedMore } from '../byte-decoder.ts';
import type { HeaderBlock } from './header-block.ts';

export type Http1ErrorCode =
  // Request line (RFC 9112 §3).
  | 'method_invalid'
  | 'method_too_long'
  | 'target_invalid'
  | 'target_too_long'
  | 'version_invalid'
  | 'version_unsupported'
  // Status line (RFC 9112 §4).
  | 'status_line_invalid'
  | 'status_code_invalid'
  // Lines and fields (RFC 9112 §2.2, §5).
  | 'line_ending'
  | 'header_name_invalid'
  | 'header_name_whitespace'
  | 'header_folded'
  | 'header_value_invalid'
  | 'headers_too_large'
  | 'headers_too_many'
  // Host and connection options (RFC 9112 §3.2, RFC 9110 §7.6.1).
  | 'host_missing'
  | 'host_repeated'
  | 'host_invalid'
  | 'host_mismatch'
  | 'connection_option_invalid'
  // Length of the body (RFC 9112 §6).
  | 'content_length_invalid'
  | 'content_length_repeated'
  | 'content_length_forbidden'
  | 'content_length_and_transfer_encoding'
  | 'transfer_encoding_invalid'
  | 'transfer_encoding_repeated'
  | 'transfer_encoding_unsupported'
  | 'transfer_encoding_forbidden'
  | 'body_too_large'
  // Chunked coding (RFC 9112 §7.1).
  | 'chunk_size_invalid'
  | 'chunk_extension_invalid'
  | 'chunk_extension_too_large'
  | 'chunk_data_unterminated'
  | 'trailer_forbidden'
  // The exchange as a whole.
  | 'buffer_overflow'
  | 'response_missing'
  | 'response_unsolicited'
  | 'interim_too_many'
  | 'upgrade_unsolicited'
  | 'truncated';

/** The status a refused request is answered with; a refused response is always 502 to the client. */
export type Http1ErrorStatus = 400 | 413 | 414 | 431 | 501 | 502 | 505;

/** Terminal: a decoder that gave it gives nothing else, and the connection cannot be used again. */
export interface Http1ErrorEvent {
  readonly kind: 'error';
  readonly code: Http1ErrorCode;
  readonly status: Http1ErrorStatus;
  /** One line for a log. It names offsets and byte values, never what the peer wrote. */
  readonly detail: string;
}

export interface Http1DataEvent {
  readonly kind: 'data';
  /** A piece of the body without its chunk framing: a slice of what was pushed, not a copy. */
  readonly bytes: Buffer;
}

export interface Http1EndEvent {
  readonly kind: 'end';
  readonly trailers?: HeaderBlock;
}

export type Http1BodyEvent = NeedMore | Http1DataEvent | Http1EndEvent | Http1ErrorEvent;

export function refuse(
  code: Http1ErrorCode,
  detail: string,
  status: Http1ErrorStatus = 400,
): Http1ErrorEvent {
  return { kind: 'error', code, status, detail };
}

/** The same refusal seen from downstream: the fault lies with the server behind us. */
export function asBadGateway(event: Http1ErrorEvent): Http1ErrorEvent {
  return { ...event, status: 502 };
}
