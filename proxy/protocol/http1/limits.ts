/** What an HTTP/1.1 peer may make us hold or count. */

/** Bounds of one decoder. Lengths are in bytes. */
export interface Http1Limits {
  /** Request line or status line, its CRLF included. */
  readonly startLineBytesMax: number;
  /** All field lines of one head with the empty line that ends them; also those of one trailer section. */
  readonly headerBytesMax: number;
  readonly headerCountMax: number;
  /** The body of one message. Bodies are streamed, so this bounds time and accounts, not memory. */
  readonly bodyBytesMax: number;
  /** All chunk extensions of one body together: they are thrown away, so a peer gains by many of them. */
  readonly chunkExtensionBytesMax: number;
  /** Bytes pushed and not yet pulled; a caller that stops reading in time never meets it. */
  readonly bufferedBytesMax: number;
  /** 1xx heads before one final response. */
  readonly interimResponsesMax: number;
}

export const defaultHttp1Limits: Http1Limits = Object.freeze({
  // RFC 9112 §3 asks for at least 8000; the usual servers stop at 8 KiB.
  startLineBytesMax: 8 * 1024,
  // Twice what the usual servers take, since proxies add fields on the way.
  headerBytesMax: 64 * 1024,
  headerCountMax: 128,
  // The largest length a JavaScript number holds exactly.
  bodyBytesMax: Number.MAX_SAFE_INTEGER,
  chunkExtensionBytesMax: 4 * 1024,
  // Four reads of a socket at their fullest.
  bufferedBytesMax: 1024 * 1024,
  interimResponsesMax: 16,
});
