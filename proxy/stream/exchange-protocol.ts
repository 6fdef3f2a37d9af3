/** What STREAM makes of a codec that has exchanges: who serves its connections, and how a pool speaks it. */

import type { Clock } from '../../core/index.ts';
import type { Connection } from '../net/connection.ts';
import type { Deadlines } from '../net/deadlines.ts';
import type { MultiplexCodec, PingPongCodec } from '../protocol/codec.ts';
import type { ClientStream, ClientTimeouts, RequestListener, ServerTimeouts } from './stream.ts';

export type ExchangeProtocol = MultiplexProtocol | PingPongProtocol;

interface Served {
  /** Serves `connection` from its first byte on: each request is one call of `listener`. */
  serve(
    connection: Connection,
    listener: RequestListener,
    owner: ServerOwner,
    deps: ServerDeps,
  ): Drainable;
}

export interface MultiplexProtocol extends Served {
  readonly codec: MultiplexCodec;
  connect(
    connection: Connection,
    generation: number,
    owner: SharedOwner,
    deps: ClientDeps,
  ): SharedConnection;
}

export interface PingPongProtocol extends Served {
  readonly codec: PingPongCodec;
  connect(
    connection: Connection,
    generation: number,
    owner: ExclusiveOwner,
    deps: ClientDeps,
  ): ExclusiveConnection;
}

/** A downstream connection of whichever protocol, as a drain sees it. */
export interface Drainable {
  /** Lets requests under way end and takes no others. */
  drain(): void;
}

/** Who keeps account of open downstream connections. */
export interface ServerOwner {
  /** Nothing is owed to the client any more; may be told more than once. */
  onConnectionClosed(connection: Drainable): void;
  /** The client broke the rules of the protocol, and is left. */
  onProtocolError(fault: ProtocolFault, connection: ServedPeer): void;
  /** The connection is ended, and no request is there to be told. */
  onGivenUp(why: GivenUp, connection: ServedPeer): void;
}

/**
 * `idle`: nothing came. `unread`: the client does not take what it was answered. `silent`: it does not say that it is still
 * there. `head`: what it has begun to ask does not end.
 */
export type GivenUp = 'idle' | 'unread' | 'silent' | 'head';

export interface ServedPeer {
  readonly peer: Connection['peer'];
  readonly remoteAddress: string;
}

export interface ProtocolFault {
  /** In the protocol's own word, for example `ENHANCE_YOUR_CALM`. */
  readonly code: string;
  /** One line for a log, with nothing in it that the peer wrote. */
  readonly detail: string;
}

export interface ServerDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly timeouts: ServerTimeouts;
  /** What requests may be upgraded to, in lower case. */
  readonly upgrades: ReadonlySet<string>;
  /** 32 hexadecimal digits, never the same twice. */
  readonly requestIds: { next(): string };
}

export interface ClientDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly timeouts: ClientTimeouts;
}

/** An upstream connection that carries many exchanges at a time. */
export interface SharedConnection {
  /** Which TLS material it was made under. */
  readonly generation: number;
  /** Whether the server has said how much it takes at once. */
  readonly isReady: boolean;
  readonly mayOpen: boolean;
  /** Whether it takes no further exchange for ever. */
  readonly isLeaving: boolean;
  /** How many exchanges were begun on it. */
  readonly openedCount: number;
  /** For an exchange that begins at once. */
  newStream(): ClientStream;
  /** Takes no more exchanges, and goes when those that it has are done. */
  retire(): void;
  close(): void;
}

export interface SharedOwner {
  /** The server is ready, or an exchange has ended: there may be room for more. */
  onRoom(connection: SharedConnection): void;
  onProtocolError(): void;
  onConnectionLost(connection: SharedConnection): void;
}

/** An upstream connection that carries one exchange at a time, and is the stream of each. */
export interface ExclusiveConnection extends ClientStream {
  /** Which TLS material it was made under. */
  readonly generation: number;
  readonly isUsable: boolean;
  /** Waits for the next exchange. */
  rest(): void;
  close(): void;
}

/** Where a connection goes when its exchange is over. */
export interface ExclusiveOwner {
  onExchangeOver(connection: ExclusiveConnection): void;
  onConnectionLost(connection: ExclusiveConnection): void;
}
