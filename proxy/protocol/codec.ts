/**
 * The port of PROTOCOL: what a protocol has to supply for the layers above to find it on a port, pool its
 * connections and answer in it. How exchanges share a connection decides what else there must be, so the
 * pool mode tells the kinds of codec apart; what a kind has not is `undefined`, and cannot be asked for.
 *
 * A codec is a folder here, and one value of this type in it. It sees no socket and keeps no state: what a
 * connection has to remember is in the decoder or session that is made for it.
 */

import type { Buffer } from 'node:buffer';
import type { ByteDecoder } from './byte-decoder.ts';
import type { ProtocolMatcher } from './detect/protocol-matcher.ts';
import type { Fields } from './fields.ts';
import type { HeaderField } from './http1/head-edits.ts';

/**
 * `poolMode` says how exchanges share an upstream connection. `multiplex`: many side by side, told apart by an
 * ID. `ping_pong`: one after the other. `binding`: there are none, so it belongs to one downstream connection.
 */
export type Codec = MultiplexCodec | PingPongCodec | BindingCodec;

/** A protocol with many exchanges at a time. Both directions of a connection are one machine. */
export interface MultiplexCodec<Session = unknown, Exchange = unknown> extends ProtocolMatcher {
  readonly poolMode: 'multiplex';
  /** Takes what the peer sent. The session tells whoever it was made for; it never throws on bad bytes. */
  decode(session: Session, bytes: Buffer): void;
  /** Everything to be written, in order, and once. */
  encode(session: Session): readonly Buffer[];
  /** Many share the connection, and would all wait for a peer that is gone: it must be possible to ask. */
  readonly heartbeat: Heartbeat<Session>;
  /** A whole answer of our own to one exchange. `omitsBody`: its length is told and no more. */
  localReply(exchange: Exchange, answer: LocalAnswer, omitsBody: boolean): void;
  /** What tells an exchange from the others of its connection, as the wire has it. */
  requestId(exchange: Exchange): number | bigint;
}

/** A protocol with one exchange at a time, whose order is all that ties an answer to its request. */
export interface PingPongCodec<RequestHead = unknown, ResponseHead = unknown>
  extends ProtocolMatcher {
  readonly poolMode: 'ping_pong';
  /** One decoder a connection, for the side that reads such messages. */
  readonly decode: {
    requests(): ByteDecoder<{ readonly kind: string }>;
    responses(): ByteDecoder<{ readonly kind: string }>;
  };
  readonly encode: {
    requestHead(head: RequestHead, edits: object): Buffer;
    responseHead(head: ResponseHead, edits?: object): Buffer;
    /** A piece of a body whose length was not told, and its end. */
    body(bytes: Buffer): Buffer;
    end(trailers: Fields | undefined): Buffer;
  };
  /** Where the protocol has none, a pool finds out about a dead peer by the next exchange. */
  readonly heartbeat: Heartbeat<unknown> | undefined;
  localReply(answer: { readonly status: number }): Buffer;
  readonly requestId: undefined;
}

/** A protocol that we carry and do not read. */
export interface BindingCodec extends ProtocolMatcher {
  readonly poolMode: 'binding';
  readonly decode: undefined;
  readonly encode: undefined;
  readonly heartbeat: undefined;
  readonly localReply: undefined;
  readonly requestId: undefined;
}

export interface Heartbeat<Session> {
  /**
   * Asks the peer whether it is there. What it answers is taken by `decode` and told to nobody, and so are
   * its own heartbeats, which `decode` answers.
   */
  probe(session: Session): void;
}

/** What the proxy says itself, in the words of HTTP; a codec with words of its own translates. */
export interface LocalAnswer {
  readonly status: number;
  readonly fields: readonly HeaderField[];
  readonly body: string | Buffer;
}
