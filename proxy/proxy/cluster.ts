/** Endpoints that serve the same thing: each with its pool, taken in turn. */

import type { Closable, Random } from '../../core/index.ts';
import type { Dialer } from '../net/dialer.ts';
import type { Address, Endpoints } from '../net/address.ts';
import { createPool } from '../stream/create-pool.ts';
import { TunnelDial } from '../stream/dialled-tunnel.ts';
import type { ExchangeProtocol } from '../stream/exchange-protocol.ts';
import type { Pool, PoolDeps, PoolStats } from '../stream/pool.ts';
import { type BindingOutcome, BindingPool } from '../stream/pool-binding.ts';
import type { ClientTimeouts } from '../stream/stream.ts';
import { EndpointHealth } from './endpoint-health.ts';

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

export interface ClusterDeps extends PoolDeps {
  readonly random: Random;
}

export class Cluster implements Closable {
  readonly name: string;
  /** The name of what its endpoints are spoken to in, where what they are sent are requests. */
  readonly protocol: string;
  /** How many endpoints one request may try before it is told that none answers. */
  readonly attemptsMax: number;
  readonly #pools: readonly Pool[];
  readonly #health: ReadonlyMap<Pool, EndpointHealth>;
  readonly #stats: PoolStats;
  /** Beside each pool, the connections to its endpoint that are relayed and not shared. */
  readonly #bindings: ReadonlyMap<Pool, BindingPool>;
  /** Of a cluster without endpoints of its own. */
  readonly #onward: BindingPool | undefined;
  readonly #timeouts: ClientTimeouts;
  #turn = 0;

  constructor(options: ClusterOptions, deps: ClusterDeps) {
    const { connectionsMax, timeouts, waitMsMax } = options;
    const endpoints = options.endpoints === 'original' ? [] : options.endpoints;
    this.name = options.name;
    this.#timeouts = timeouts;
    this.protocol = options.protocol.codec.name;
    const goesOn = options.endpoints === 'original';
    this.attemptsMax = goesOn ? 1 : Math.min(endpoints.length, endpointsTriedMax);
    this.#stats = deps.stats;
    if (goesOn) this.#onward = new BindingPool({ endpoint: undefined, connectionsMax }, deps);
    const pools: Pool[] = [];
    const bindings = new Map<Pool, BindingPool>();
    const healths = new Map<Pool, EndpointHealth>();
    for (const endpoint of endpoints) {
      // A dial has ended long before nobody may wait for it any more.
      const health = new EndpointHealth({ dialMsMax: waitMsMax }, deps);
      const own = { ...deps, dialer: watched(deps.dialer, health) };
      const pool = createPool(
        options.protocol,
        { endpoint, connectionsMax, timeouts, waitMsMax },
        own,
      );
      pools.push(pool);
      bindings.set(pool, new BindingPool({ endpoint, connectionsMax }, own));
      healths.set(pool, health);
    }
    this.#pools = pools;
    this.#bindings = bindings;
    this.#health = healths;
  }

  /** The pool whose turn it is, of those whose endpoint can be had; of all, where none can. */
  nextPool(): Pool {
    for (let passed = 0; passed < this.#pools.length; passed += 1) {
      const pool = this.#takeTurn();
      if (this.#health.get(pool)?.mayTry() !== false) {
        this.#stats.endpointsPassedOver += passed;
        return pool;
      }
    }
    return this.#takeTurn();
  }

  #takeTurn(): Pool {
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

/** The dialer, with what it meets told. */
function watched(dialer: Dialer, health: EndpointHealth): Dialer {
  return {
    dial(endpoint, done, from) {
      const tell: typeof done = (outcome) => {
        health.onDialed(outcome);
        done(outcome);
      };
      dialer.dial(endpoint, tell, from);
    },
    generation: () => dialer.generation(),
  };
}

// Two endpoints that refuse in a row say more about the cluster than about them.
const endpointsTriedMax = 3;
