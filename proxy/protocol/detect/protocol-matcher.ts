/** How a protocol is known: by the name ALPN gives it, or by its first bytes. */

import type { Buffer } from 'node:buffer';

/** `need_more` is an answer only as long as the bytes so far may still become one of the others. */
export type Match = 'yes' | 'no' | 'need_more';

/** One row of the table that {@link detectProtocol} goes through. */
export interface ProtocolMatcher {
  readonly name: string;
  /** The name of RFC 7301's registry; undefined for what has none. */
  readonly alpn: string | undefined;
  /**
   * `bytes` are all that came so far. However they were split the answer on the whole is the same, and it is
   * another one than `need_more` once there are {@link detectBytesMax}.
   */
  match(bytes: Buffer): Match;
}

// The longest beginning that any protocol is known by: a request line of HTTP/1.1.
export const detectBytesMax = 16 * 1024;
