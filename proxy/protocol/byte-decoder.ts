/** The shape every decoder of this layer has: bytes are pushed in, events are pulled out, no socket is seen. */

import type { Buffer } from 'node:buffer';

/** The answer of a decoder that cannot go on without further bytes. */
export interface NeedMore {
  readonly kind: 'need_more';
}

/**
 * An incremental decoder of one direction of one connection.
 *
 * Pulling is the caller's choice, which is all the back-pressure a codec needs: who cannot pass an
 * event on does not ask for the next one, and stops reading when `bufferedBytes` grows.
 */
export interface ByteDecoder<Event extends { readonly kind: string }> {
  /** Appends bytes. The decoder keeps a reference, so the caller must not write to them again. */
  push(chunk: Buffer): void;
  /** The next event. It never throws on what a peer sent: a bad message is an event too. */
  next(): Event | NeedMore;
  /** Bytes that were pushed and not yet given out or skipped. */
  readonly bufferedBytes: number;
}

// One shared value, since it is the most frequent answer.
export const needMore: NeedMore = Object.freeze({ kind: 'need_more' });
