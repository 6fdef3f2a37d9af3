/** Connections to one endpoint, as requests ask for them. */

import type { Clock } from '../../core/index.ts';
import type { Deadlines } from '../net/deadlines.ts';
import type { Dialer, DialFailure } from '../net/dialer.ts';
import type { Address } from '../net/address.ts';
import type { ClientStream, ClientTimeouts } from './stream.ts';

export interface Pool {
  readonly endpoint: Address;
  /** `fresh` wants a connection that nobody has used, for who has just met a dead one. */
  acquire(waiter: PoolWaiter, fresh: boolean): void;
  /** Takes back a request for a stream that has not been answered. */
  cancel(waiter: PoolWaiter): void;
  /** After a swap of secrets: what was made under earlier ones takes no new exchange. */
  retire(): void;
  /** Refuses who waits, and closes what there is. */
  close(): void;
}

/** Whoever wants a stream. One of the two is called, maybe inside `acquire`. */
export interface PoolWaiter {
  onConnection(stream: ClientStream): void;
  onNoConnection(code: NoConnection, detail: string): void;
}

/**
 * Why there is no connection: no endpoint gave one (a {@link DialFailure}), or the pool has none to give.
 * `overflow`: too many wait already. `late`: none was free in time. `closed`: the proxy ends.
 */
export type NoConnection = DialFailure | 'overflow' | 'late' | 'closed';

export interface PoolOptions {
  readonly endpoint: Address;
  readonly connectionsMax: number;
  readonly timeouts: ClientTimeouts;
  /** How long a request may wait for a connection. */
  readonly waitMsMax: number;
}

export interface PoolDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly dialer: Dialer;
  readonly stats: PoolStats;
}

export interface PoolStats {
  connectionsOpened: number;
  connectionsFailed: number;
  connectionsActive: number;
  connectionsIdle: number;
  /** TLS servers that were not who they should be; counted as failed too. */
  peersRefused: number;
  /** Live connections that were ended because the server's certificate was revoked. */
  peersRevoked: number;
  /** The same because the bundle of the server's trust domain no longer vouches for it. */
  peersUntrusted: number;
  /** The same because our own certificate in it was replaced too long ago. */
  superseded: number;
  overflows: number;
  /** Requests that waited for a connection for as long as they may. */
  waitTimeouts: number;
  /** Turns of endpoints that had not been to be connected to. */
  endpointsPassedOver: number;
  /** HTTP/2 servers that broke the protocol's rules, and were left. */
  protocolErrors: number;
}
