/** Endpoints that serve the same thing: each with its pool, taken in turn. */

import type { Closable } from '../../core/index.ts';
import type { DialOutcome, Dialer } from '../net/dialer.ts';
import type { Address } from '../net/listener.ts';
import type { ClientTimeouts } from '../stream/client-connection.ts';
import { PingPongPool, type PoolStats } from '../stream/pool-ping-pong.ts';

export interface ClusterOptions {
  readonly name: string;
  readonly endpoints: readonly Address[];
  readonly connectionsMax: number;
  readonly timeouts: ClientTimeouts;
}

export class Cluster implements Closable {
  readonly name: string;
  /** How many endpoints one request may try before it is told that none answers. */
  readonly attemptsMax: number;
  readonly #pools: readonly PingPongPool[];
  readonly #dialer: Dialer;
  readonly #stats: PoolStats;
  #turn = 0;

  constructor(options: ClusterOptions, dialer: Dialer, stats: PoolStats) {
    const { endpoints, connectionsMax, timeouts } = options;
    this.name = options.name;
    this.attemptsMax = Math.min(endpoints.length, endpointsTriedMax);
    this.#pools = endpoints.map(
      (endpoint) => new PingPongPool({ endpoint, connectionsMax, timeouts }, dialer, stats),
    );
    this.#dialer = dialer;
    this.#stats = stats;
  }

  /** The pool whose turn it is. */
  nextPool(): PingPongPool {
    const pool = this.#pools[this.#turn % this.#pools.length];
    this.#turn = (this.#turn + 1) % this.#pools.length;
    // The config demands an endpoint, so there is always one.
    if (pool === undefined) throw new RangeError(`cluster ${this.name} has no endpoint`);
    return pool;
  }

  /** A connection of its own to the endpoint whose turn it is, for protocols without exchanges. */
  dial(done: (outcome: DialOutcome) => void): void {
    this.#dialer.dial(this.nextPool().endpoint, (outcome) => {
      if (outcome.kind === 'connected') {
        this.#stats.connectionsOpened += 1;
      } else {
        this.#stats.connectionsFailed += 1;
        if (outcome.code === 'peer_refused') this.#stats.peersRefused += 1;
      }
      done(outcome);
    });
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
