/** Endpoints that serve the same thing: each with its pool, taken in turn. */

import type { Closable } from '../../core/index.ts';
import type { DialOutcome, Dialer } from '../net/dialer.ts';
import type { Address, Endpoints } from '../net/address.ts';
import { createPool } from '../stream/create-pool.ts';
import type { ExchangeProtocol } from '../stream/exchange-protocol.ts';
import type { Pool, PoolDeps, PoolStats } from '../stream/pool.ts';
import type { ClientTimeouts } from '../stream/stream.ts';

export interface ClusterOptions {
  readonly name: string;
  /** `original`: each connection goes where it was going before it was redirected to us. */
  readonly endpoints: readonly Address[] | 'original';
  readonly connectionsMax: number;
  readonly timeouts: ClientTimeouts;
  /** How long a request may wait for a connection. */
  readonly waitMsMax: number;
  /** What the endpoints are spoken to in, where what they are sent are requests. */
  readonly protocol: ExchangeProtocol;
}

export class Cluster implements Closable {
  readonly name: string;
  /** The name of what its endpoints are spoken to in, where what they are sent are requests. */
  readonly protocol: string;
  /** How many endpoints one request may try before it is told that none answers. */
  readonly attemptsMax: number;
  readonly #pools: readonly Pool[];
  readonly #goesOn: boolean;
  readonly #dialer: Dialer;
  readonly #stats: PoolStats;
  #turn = 0;

  constructor(options: ClusterOptions, deps: PoolDeps) {
    const { connectionsMax, timeouts, waitMsMax } = options;
    const endpoints = options.endpoints === 'original' ? [] : options.endpoints;
    this.name = options.name;
    this.protocol = options.protocol.codec.name;
    this.#goesOn = options.endpoints === 'original';
    this.attemptsMax = this.#goesOn ? 1 : Math.min(endpoints.length, endpointsTriedMax);
    this.#pools = endpoints.map((endpoint) =>
      createPool(options.protocol, { endpoint, connectionsMax, timeouts, waitMsMax }, deps),
    );
    this.#dialer = deps.dialer;
    this.#stats = deps.stats;
  }

  /** The pool whose turn it is. */
  nextPool(): Pool {
    const pool = this.#pools[this.#turn % this.#pools.length];
    this.#turn = (this.#turn + 1) % this.#pools.length;
    // The config demands an endpoint of who is sent requests, so there is always one.
    if (pool === undefined) throw new RangeError(`cluster ${this.name} has no endpoint`);
    return pool;
  }

  /**
   * A connection for `from` alone, to where it was going or to the endpoint whose turn it is, for protocols
   * without exchanges. Calls `done` once, never before it returns.
   */
  dial(from: Endpoints | undefined, done: (outcome: DialOutcome) => void): void {
    const counted = (outcome: DialOutcome): void => {
      if (outcome.kind === 'connected') {
        this.#stats.connectionsOpened += 1;
      } else {
        this.#stats.connectionsFailed += 1;
        if (outcome.code === 'peer_refused') this.#stats.peersRefused += 1;
      }
      done(outcome);
    };
    const endpoint = this.#goesOn ? from?.original : this.nextPool().endpoint;
    if (endpoint === undefined) {
      // Who connects to our own port would be sent back to it, again and again.
      const detail = 'the connection was not redirected to us, so it was going nowhere else';
      queueMicrotask(() => counted({ kind: 'failed', code: 'connect', detail }));
      return;
    }
    this.#dialer.dial(endpoint, counted, from);
  }

  /** After a swap of secrets: idle connections of the time before are closed. */
  retire(): void {
    for (const pool of this.#pools) pool.retire();
  }

  async close(): Promise<void> {
    for (const pool of this.#pools) pool.close();
  }
}

// Two endpoints that refuse in a row say more about the cluster than about them.
const endpointsTriedMax = 3;
