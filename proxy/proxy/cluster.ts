/** Endpoints that serve the same thing: each with its pool, taken in turn. */

import type { Closable } from '../../core/index.ts';
import type { Address, Endpoints } from '../net/address.ts';
import { createPool } from '../stream/create-pool.ts';
import { TunnelDial } from '../stream/dialled-tunnel.ts';
import type { ExchangeProtocol } from '../stream/exchange-protocol.ts';
import type { Pool, PoolDeps } from '../stream/pool.ts';
import { type BindingOutcome, BindingPool } from '../stream/pool-binding.ts';
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
  /** Beside each pool, the connections to its endpoint that are relayed and not shared. */
  readonly #bindings: ReadonlyMap<Pool, BindingPool>;
  /** Of a cluster without endpoints of its own. */
  readonly #onward: BindingPool | undefined;
  readonly #timeouts: ClientTimeouts;
  #turn = 0;

  constructor(options: ClusterOptions, deps: PoolDeps) {
    const { connectionsMax, timeouts, waitMsMax } = options;
    const endpoints = options.endpoints === 'original' ? [] : options.endpoints;
    this.name = options.name;
    this.#timeouts = timeouts;
    this.protocol = options.protocol.codec.name;
    const goesOn = options.endpoints === 'original';
    this.attemptsMax = goesOn ? 1 : Math.min(endpoints.length, endpointsTriedMax);
    this.#pools = endpoints.map((endpoint) =>
      createPool(options.protocol, { endpoint, connectionsMax, timeouts, waitMsMax }, deps),
    );
    if (goesOn) this.#onward = new BindingPool({ endpoint: undefined, connectionsMax }, deps);
    this.#bindings = new Map(
      this.#pools.map((pool) => [
        pool,
        new BindingPool({ endpoint: pool.endpoint, connectionsMax }, deps),
      ]),
    );
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
  dial(from: Endpoints | undefined, done: (outcome: BindingOutcome) => void): void {
    const bindings = this.#onward ?? this.#bindings.get(this.nextPool());
    bindings?.dial(from, done);
  }

  /** As `dial`, for a request that asks for a tunnel. */
  tunnelFor(from: Endpoints | undefined): TunnelDial {
    return new TunnelDial((done) => this.dial(from, done), this.#timeouts);
  }

  /** After a swap of secrets: idle connections of the time before are closed. */
  retire(): void {
    for (const pool of this.#pools) pool.retire();
  }

  async close(): Promise<void> {
    for (const pool of this.#pools) pool.close();
    for (const binding of this.#bindings.values()) binding.close();
    this.#onward?.close();
  }
}

// Two endpoints that refuse in a row say more about the cluster than about them.
const endpointsTriedMax = 3;
