/** Connections to one endpoint of which each belongs to one downstream connection, for protocols without exchanges. */

import type { Address, Endpoints } from '../net/address.ts';
import type { Connection } from '../net/connection.ts';
import type { Dialer, DialOutcome } from '../net/dialer.ts';
import type { PoolStats } from './pool.ts';

export interface BindingPoolOptions {
  /** Where to; undefined where each connection goes where its downstream was going. */
  readonly endpoint: Address | undefined;
  readonly connectionsMax: number;
}

export interface BindingPoolDeps {
  readonly dialer: Dialer;
  readonly stats: PoolStats;
}

export type BindingOutcome =
  | DialOutcome
  | { readonly kind: 'failed'; readonly code: 'overflow'; readonly detail: string };

/**
 * Nothing waits here: a downstream connection that has no upstream is of no use, and its client can try again.
 * Nothing is kept either, and nothing retired: what is inside has no point at which it could move to another
 * connection. Those on a certificate of the past end by their age, where the config gives them one.
 */
export class BindingPool {
  readonly #options: BindingPoolOptions;
  readonly #deps: BindingPoolDeps;
  readonly #connections = new Set<Connection>();
  #dialing = 0;
  #isClosed = false;

  constructor(options: BindingPoolOptions, deps: BindingPoolDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** A connection for `from` alone. Calls `done` once, never before it returns. */
  dial(from: Endpoints | undefined, done: (outcome: BindingOutcome) => void): void {
    const { endpoint = from?.original, connectionsMax } = this.#options;
    if (endpoint === undefined) {
      // Who connects to our own port would be sent back to it, again and again.
      const detail = 'the connection was not redirected to us, so it was going nowhere else';
      this.#deps.stats.connectionsFailed += 1;
      queueMicrotask(() => done({ kind: 'failed', code: 'connect', detail }));
      return;
    }
    if (this.#isClosed || this.#connections.size + this.#dialing >= connectionsMax) {
      this.#deps.stats.overflows += 1;
      const detail = `${connectionsMax} connections are open already, which is its connectionsMax`;
      queueMicrotask(() => done({ kind: 'failed', code: 'overflow', detail }));
      return;
    }
    this.#dialing += 1;
    this.#deps.dialer.dial(endpoint, (outcome) => this.#onDialed(outcome, done), from);
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.destroy('the proxy is closing');
  }

  #onDialed(outcome: DialOutcome, done: (outcome: BindingOutcome) => void): void {
    const { stats } = this.#deps;
    this.#dialing -= 1;
    if (outcome.kind === 'failed') {
      stats.connectionsFailed += 1;
      if (outcome.code === 'peer_refused') stats.peersRefused += 1;
      done(outcome);
      return;
    }
    const { connection } = outcome;
    stats.connectionsOpened += 1;
    stats.connectionsActive += 1;
    this.#connections.add(connection);
    connection.observer = {
      onClosed: () => {
        this.#connections.delete(connection);
        stats.connectionsActive -= 1;
      },
    };
    done(outcome);
    if (this.#isClosed) connection.destroy('the proxy is closing');
  }
}
