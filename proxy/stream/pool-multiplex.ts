/** Connections to one endpoint for protocols with many exchanges at a time: few, filled up, and left in order. */

import type { DialOutcome } from '../net/dialer.ts';
import type { Address } from '../net/address.ts';
import type { MultiplexProtocol, SharedConnection, SharedOwner } from './exchange-protocol.ts';
import type { NoConnection, Pool, PoolDeps, PoolOptions, PoolWaiter } from './pool.ts';
import { PoolWaiters, waitersMax } from './pool-waiters.ts';

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
  readonly #waiters: PoolWaiters;
  #dialing = 0;
  #isClosed = false;

  constructor(protocol: MultiplexProtocol, options: PoolOptions, deps: PoolDeps) {
    this.#protocol = protocol;
    this.#options = options;
    this.#deps = deps;
    this.#waiters = new PoolWaiters(deps.deadlines, options.waitMsMax, () => {
      deps.stats.waitTimeouts += 1;
    });
  }

  get endpoint(): Address {
    return this.#options.endpoint;
  }

  acquire(waiter: PoolWaiter): void {
    const connection = this.#waiters.count === 0 ? this.#withRoom() : undefined;
    if (connection !== undefined) {
      waiter.onConnection(connection.newStream());
      return;
    }
    if (this.#isClosed) {
      waiter.onNoConnection('closed', 'the proxy is closing');
      return;
    }
    if (!this.#waiters.add(waiter)) {
      this.#deps.stats.overflows += 1;
      waiter.onNoConnection('overflow', `${waitersMax} requests wait for a stream already`);
      return;
    }
    this.#dialIfNeeded();
  }

  cancel(waiter: PoolWaiter): void {
    this.#waiters.cancel(waiter);
  }

  retire(): void {
    const generation = this.#deps.dialer.generation();
    for (const connection of this.#connections) {
      if (connection.generation !== generation) connection.retire();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#waiters.refuseAll('closed', 'the proxy is closing');
    for (const connection of this.#connections) connection.close();
  }

  onRoom(connection: SharedConnection): void {
    while (connection.mayOpen && this.#waiters.count > 0) {
      this.#waiters.take()?.onConnection(connection.newStream());
    }
    this.#dialIfNeeded();
  }

  onProtocolError(): void {
    this.#deps.stats.protocolErrors += 1;
  }

  onConnectionLost(connection: SharedConnection): void {
    if (!this.#connections.delete(connection)) return;
    this.#deps.stats.connectionsActive -= 1;
    // A server that accepts and then breaks off before its first word would be dialled for ever. One that we left
    // ourselves, with the certificate it was made under, tells nothing of the server.
    const isCurrent = connection.generation === this.#deps.dialer.generation();
    if (connection.openedCount === 0 && this.#connections.size === 0 && isCurrent) {
      this.#refuse('connect', 'the server closed the connection before a stream began');
    }
    this.#dialIfNeeded();
  }

  #withRoom(): SharedConnection | undefined {
    for (const connection of this.#connections) if (connection.mayOpen) return connection;
    return undefined;
  }

  /** As many connections as those who wait will mostly need. */
  #dialIfNeeded(): void {
    if (this.#waiters.count === 0 || this.#isClosed) return;
    let coming = this.#dialing;
    for (const each of this.#connections) if (!each.isLeaving && !each.isReady) coming += 1;
    while (
      this.#waiters.count > coming * streamsExpected &&
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
      this.#refuse(outcome.code, outcome.detail);
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

  /** With no connection and none to come, all who wait are told the same, and else the first. */
  #refuse(code: NoConnection, detail: string): void {
    if (this.#connections.size + this.#dialing === 0) this.#waiters.refuseAll(code, detail);
    else this.#waiters.refuseOne(code, detail);
  }
}

// RFC 9113 §6.5.2 asks servers to allow that many at least.
const streamsExpected = 100;
