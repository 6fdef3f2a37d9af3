/** Connections to one endpoint for protocols with many exchanges at a time: few, filled up, and left in order. */

import type { DialOutcome } from '../net/dialer.ts';
import type { Address } from '../net/address.ts';
import type { MultiplexProtocol, SharedConnection, SharedOwner } from './exchange-protocol.ts';
import { type Pool, type PoolDeps, type PoolOptions, type PoolWaiter, waitersMax } from './pool.ts';

/**
 * A new stream goes to the oldest connection that has room, so that a quiet pool shrinks to one. A
 * connection that was made under earlier TLS material, or that its server has sent GOAWAY on, takes no
 * new stream; those that it has go on to their end.
 */
export class MultiplexPool implements Pool, SharedOwner {
  readonly #protocol: MultiplexProtocol;
  readonly #options: PoolOptions;
  readonly #deps: PoolDeps;
  readonly #connections = new Set<SharedConnection>();
  readonly #waiters: PoolWaiter[] = [];
  #dialing = 0;
  #isClosed = false;

  constructor(protocol: MultiplexProtocol, options: PoolOptions, deps: PoolDeps) {
    this.#protocol = protocol;
    this.#options = options;
    this.#deps = deps;
  }

  get endpoint(): Address {
    return this.#options.endpoint;
  }

  acquire(waiter: PoolWaiter): void {
    const connection = this.#waiters.length === 0 ? this.#withRoom() : undefined;
    if (connection !== undefined) {
      waiter.onConnection(connection.newStream());
      return;
    }
    if (this.#waiters.length >= waitersMax || this.#isClosed) {
      this.#deps.stats.overflows += 1;
      waiter.onNoConnection('overflow', `${waitersMax} requests wait for a stream already`);
      return;
    }
    this.#waiters.push(waiter);
    this.#dialIfNeeded();
  }

  cancel(waiter: PoolWaiter): void {
    const at = this.#waiters.indexOf(waiter);
    if (at !== -1) this.#waiters.splice(at, 1);
  }

  retire(): void {
    const generation = this.#deps.dialer.generation();
    for (const connection of this.#connections) {
      if (connection.generation !== generation) connection.retire();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.close();
  }

  onRoom(connection: SharedConnection): void {
    while (connection.mayOpen && this.#waiters.length > 0) {
      this.#waiters.shift()?.onConnection(connection.newStream());
    }
    if (this.#waiters.length > 0) this.#dialIfNeeded();
  }

  onProtocolError(): void {
    this.#deps.stats.protocolErrors += 1;
  }

  onConnectionLost(connection: SharedConnection): void {
    if (!this.#connections.delete(connection)) return;
    this.#deps.stats.connectionsActive -= 1;
    // A server that accepts and then breaks off before its first word would be dialled for ever.
    if (connection.openedCount === 0 && this.#connections.size === 0) {
      this.#refuseOne('connect', 'the server closed the connection before a stream began');
    }
    if (!this.#isClosed) this.#dialIfNeeded();
  }

  #withRoom(): SharedConnection | undefined {
    for (const connection of this.#connections) if (connection.mayOpen) return connection;
    return undefined;
  }

  /** As many connections as those who wait will mostly need. */
  #dialIfNeeded(): void {
    if (this.#waiters.length === 0) return;
    let coming = this.#dialing;
    for (const each of this.#connections) if (!each.isLeaving && !each.isReady) coming += 1;
    while (
      this.#waiters.length > coming * streamsExpected &&
      this.#connections.size + this.#dialing < this.#options.connectionsMax
    ) {
      coming += 1;
      this.#dialing += 1;
      this.#deps.dialer.dial(this.#options.endpoint, (outcome) => this.#onDialed(outcome));
    }
  }

  #onDialed(outcome: DialOutcome): void {
    const { stats } = this.#deps;
    this.#dialing -= 1;
    if (outcome.kind === 'failed') {
      stats.connectionsFailed += 1;
      if (outcome.code === 'peer_refused') stats.peersRefused += 1;
      this.#refuseOne(outcome.code, outcome.detail);
      this.#dialIfNeeded();
      return;
    }
    stats.connectionsOpened += 1;
    stats.connectionsActive += 1;
    const deps = { ...this.#deps, timeouts: this.#options.timeouts };
    const connection = this.#protocol.connect(outcome.connection, outcome.generation, this, deps);
    this.#connections.add(connection);
    if (this.#isClosed) connection.close();
  }

  #refuseOne(code: Parameters<PoolWaiter['onNoConnection']>[0], detail: string): void {
    this.#waiters.shift()?.onNoConnection(code, detail);
  }
}

// RFC 9113 §6.5.2 asks servers to allow that many at least.
const streamsExpected = 100;
