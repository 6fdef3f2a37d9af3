/** What an HTTP/2 peer may make us hold, count or do. */

export interface Http2Limits {
  /** Streams of the peer at one time: SETTINGS_MAX_CONCURRENT_STREAMS. */
  readonly streamsMax: number;
  /** Fields of one head, with 32 bytes for each: SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly listSizeMax: number;
  /** One header block as it came, compressed, over all its frames. */
  readonly blockBytesMax: number;
  readonly continuationsMax: number;
  /** Bytes of one stream that may be on their way to us or wait here: SETTINGS_INITIAL_WINDOW_SIZE. */
  readonly streamWindow: number;
  /** Bytes on their way to us on all streams of a connection together; what waits here is not counted. */
  readonly connectionWindow: number;
  /** Streams that the peer begins and has ended before their time, or whose heads are larger than we take. */
  readonly resets: RateBound;
  /** Frames that are allowed, move nothing, and make us work or answer; those that measure the line are counted apart. */
  readonly idleFrames: RateBound;
  readonly interimResponsesMax: number;
}

export interface RateBound {
  readonly perSecond: number;
  readonly burst: number;
}

export const defaultHttp2Limits: Http2Limits = Object.freeze({
  // RFC 9113 §6.5.2 recommends 100 at least; what a mesh multiplexes on one connection is often more.
  streamsMax: 256,
  // As in HTTP/1.1, so that a head that one protocol brought can be sent in the other.
  listSizeMax: 64 * 1024,
  blockBytesMax: 64 * 1024,
  // Four full frames hold the largest block; senders that cut smaller are known, endless ones are attacks.
  continuationsMax: 32,
  // Enough for half a Gbit/s at a round trip of one millisecond. Times `streamsMax` it is what a peer can
  // bind with streams that nobody reads, so it is no larger.
  streamWindow: 64 * 1024,
  // As much as sixteen streams may send at once.
  connectionWindow: 1024 * 1024,
  // Cancelling is normal, by the hundred when a client goes away; to go on with it is an attack (CVE-2023-44487).
  resets: Object.freeze({ perSecond: 50, burst: 500 }),
  // A PING or a change of settings a second is much where no message goes either way; what goes gives some of the
  // PINGs back (`flood-guard.ts`). Each frame costs us a few microseconds.
  idleFrames: Object.freeze({ perSecond: 100, burst: 1000 }),
  interimResponsesMax: 16,
});
