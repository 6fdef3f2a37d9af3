/** Connections to one endpoint for protocols with one exchange at a time: kept, bounded, handed out newest first. */

import type { Dialer, DialOutcome } from '../net/dialer.ts';
import type { Address } from '../net/address.ts';
import type { ExclusiveConnection, ExclusiveOwner, PingPongProtocol } from './exchange-protocol.ts';
import type { Pool, PoolDeps, PoolOptions, PoolStats, PoolWaiter } from './pool.ts';
import { PoolWaiters, waitersMax } from './pool-waiters.ts';

/**
 * Newest first, so that a quiet pool shrinks from its old end. A connection made under earlier TLS
 * material takes no new exchange: who we are and whom we trust is then checked again.
 */
export class PingPongPool implements Pool, ExclusiveOwner {
  readonly #protocol: PingPongProtocol;
  readonly #options: PoolOptions;
  readonly #deps: PoolDeps;
  readonly #dialer: Dialer;
  readonly #stats: PoolStats;
  readonly #idle: ExclusiveConnection[] = [];
  readonly #all = new Set<ExclusiveConnection>();
  readonly #waiters: PoolWaiters;
  #dialing = 0;
  #isClosed = false;

  constructor(protocol: PingPongProtocol, options: PoolOptions, deps: PoolDeps) {
    const { deadlines, dialer, stats } = deps;
    this.#protocol = protocol;
    this.#options = options;
    this.#deps = deps;
    this.#dialer = dialer;
    this.#stats = stats;
    this.#waiters = new PoolWaiters(deadlines, options.waitMsMax, () => {
      stats.waitTimeouts += 1;
    });
  }

  get endpoint(): Address {
    return this.#options.endpoint;
  }

  acquire(waiter: PoolWaiter, fresh: boolean): void {
    const idle = fresh ? undefined : this.#takeIdle();
    if (idle !== undefined) {
      waiter.onConnection(idle);
      return;
    }
    if (this.#isClosed) {
      waiter.onNoConnection('closed', 'the proxy is closing');
      return;
    }
    if (!this.#waiters.add(waiter)) {
      this.#stats.overflows += 1;
      waiter.onNoConnection('overflow', `${waitersMax} requests wait for a connection already`);
      return;
    }
    if (this.#hasRoom) this.#dial();
  }

  cancel(waiter: PoolWaiter): void {
    this.#waiters.cancel(waiter);
  }

  /** Closes what is idle and outdated. What is in use ends its exchange first. */
  retire(): void {
    const generation = this.#dialer.generation();
    for (const stream of this.#idle.slice()) {
      if (stream.generation !== generation) stream.close();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#waiters.refuseAll('closed', 'the proxy is closing');
    for (const stream of this.#all) stream.close();
  }

  onExchangeOver(stream: ExclusiveConnection): void {
    if (this.#isClosed || stream.generation !== this.#dialer.generation()) {
      stream.close();
      return;
    }
    const waiter = this.#waiters.take();
    if (waiter !== undefined) {
      waiter.onConnection(stream);
      return;
    }
    stream.rest();
    this.#idle.push(stream);
    this.#stats.connectionsIdle += 1;
  }

  onConnectionLost(stream: ExclusiveConnection): void {
    if (!this.#all.delete(stream)) return;
    this.#stats.connectionsActive -= 1;
    const at = this.#idle.indexOf(stream);
    if (at !== -1) {
      this.#idle.splice(at, 1);
      this.#stats.connectionsIdle -= 1;
    }
    // Somebody may have been waiting for the place that is free now.
    this.#dialForWaiters();
  }

  get #hasRoom(): boolean {
    return this.#all.size + this.#dialing < this.#options.connectionsMax;
  }

  #dialForWaiters(): void {
    if (this.#hasRoom && this.#waiters.count > this.#dialing && !this.#isClosed) this.#dial();
  }

  #takeIdle(): ExclusiveConnection | undefined {
    const generation = this.#dialer.generation();
    for (;;) {
      const stream = this.#idle.pop();
      if (stream === undefined) return undefined;
      this.#stats.connectionsIdle -= 1;
      if (stream.isUsable && stream.generation === generation) return stream;
      stream.close();
    }
  }

  #dial(): void {
    this.#dialing += 1;
    this.#dialer.dial(this.#options.endpoint, (outcome) => this.#onDialed(outcome));
  }

  #onDialed(outcome: DialOutcome): void {
    this.#dialing -= 1;
    if (outcome.kind === 'failed') {
      this.#stats.connectionsFailed += 1;
      if (outcome.code === 'peer_refused') this.#stats.peersRefused += 1;
      // With no connection and none to come, all who wait are told the same.
      if (this.#all.size + this.#dialing === 0) {
        this.#waiters.refuseAll(outcome.code, outcome.detail);
      } else {
        this.#waiters.refuseOne(outcome.code, outcome.detail);
      }
      this.#dialForWaiters();
      return;
    }
    this.#stats.connectionsOpened += 1;
    this.#stats.connectionsActive += 1;
    const { connection, generation } = outcome;
    const stream = this.#protocol.connect(connection, generation, this, {
      ...this.#deps,
      timeouts: this.#options.timeouts,
    });
    this.#all.add(stream);
    // A swap of secrets during the handshake is no fault of the connection: who waits may have it.
    const waiter = this.#isClosed ? undefined : this.#waiters.take();
    if (waiter === undefined) this.onExchangeOver(stream);
    else waiter.onConnection(stream);
  }
}
