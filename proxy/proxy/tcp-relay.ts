/** Plain TCP: bytes both ways between two connections, each direction ending on its own. */

import type { Buffer } from 'node:buffer';
import type { Clock } from '../../core/index.ts';
import type { AccessLog, RelayRecord } from '../access-log.ts';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import { type Deadlines, type Expiring, never } from '../net/deadlines.ts';
import type { RefusalLog } from '../net/refusal-log.ts';
import type { Cluster } from './cluster.ts';
import type { RelayStats } from './stats.ts';

export interface TcpDeps {
  readonly listener: string;
  readonly cluster: Cluster;
  readonly stats: RelayStats;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly timeouts: RelayTimeouts;
  readonly refusals: Pick<RefusalLog, 'write'>;
  /** Connections under way, for draining. */
  readonly relays: Set<Connection>;
}

export interface RelayTimeouts {
  /** How long nothing may go either way. */
  readonly idleMs: number;
  /** The same once a side has ended. */
  readonly halfClosedMs: number;
}

/** Dials for `downstream` and relays until both directions have ended. Nothing is read before that. */
export function serveTcp(downstream: Connection, deps: TcpDeps): void {
  deps.relays.add(downstream);
  new Relay(downstream, deps).dial();
}

/** One relay, from its dial to its line in the log. */
class Relay implements RelayRecord, Expiring {
  deadlineMs = never;
  bytesUpstream = 0;
  bytesDownstream = 0;
  upstream: string | undefined;
  fault: string | undefined;
  readonly #downstream: Connection;
  readonly #deps: TcpDeps;
  readonly #startedMs: number;
  #attempts = 0;
  #openSides = 2;
  #idleMs: number;

  constructor(downstream: Connection, deps: TcpDeps) {
    this.#downstream = downstream;
    this.#deps = deps;
    this.#startedMs = deps.clock.monotonicMs();
    this.#idleMs = deps.timeouts.idleMs;
  }

  dial(): void {
    const { cluster } = this.#deps;
    this.#attempts += 1;
    cluster.dial(this.#downstream.endpoints, (outcome) => {
      if (outcome.kind === 'connected') this.#begin(outcome.connection);
      else if (this.#attempts < cluster.attemptsMax && !this.#downstream.isClosed) this.dial();
      else this.#fail(`${outcome.code}: ${outcome.detail}`);
    });
  }

  #fail(fault: string): void {
    const { stats, refusals } = this.#deps;
    stats.relaysFailed += 1;
    this.fault = fault;
    const { peer, remoteAddress } = this.#downstream;
    refusals.write('relaysFailed', peer ?? remoteAddress, fault, { cluster: this.cluster });
    this.#downstream.destroy('no upstream connection');
    this.#finish();
  }

  #begin(upstream: Connection): void {
    const { stats } = this.#deps;
    const downstream = this.#downstream;
    this.upstream = upstream.remoteAddress;
    if (downstream.isClosed) {
      this.fault = 'the client is gone';
      upstream.destroy();
      this.#finish();
      return;
    }
    stats.relays += 1;
    downstream.neverExpire();
    upstream.neverExpire();
    this.#deps.deadlines.add(this);
    this.#time();
    upstream.attach(
      new OneWay(upstream, downstream, {
        onBytes: (bytes) => {
          this.bytesDownstream += bytes;
          stats.bytesDownstream += bytes;
          this.#time();
        },
        onRoom: () => this.#time(),
        onEnd: () => this.#onSideEnd(),
        onOver: (fault) => this.#onSideClosed(fault === undefined ? undefined : `server: ${fault}`),
      }),
    );
    downstream.attach(
      new OneWay(downstream, upstream, {
        onBytes: (bytes) => {
          this.bytesUpstream += bytes;
          stats.bytesUpstream += bytes;
          this.#time();
        },
        onRoom: () => this.#time(),
        onEnd: () => this.#onSideEnd(),
        onOver: (fault) => this.#onSideClosed(fault === undefined ? undefined : `client: ${fault}`),
      }),
    );
  }

  /** Whichever way something went, it is not idle. */
  #time(): void {
    this.deadlineMs = this.#deps.deadlines.in(this.#idleMs);
  }

  #onSideEnd(): void {
    const { idleMs, halfClosedMs } = this.#deps.timeouts;
    this.#idleMs = Math.min(idleMs, halfClosedMs);
    this.#time();
  }

  onDeadline(): void {
    this.#deps.stats.relayTimeouts += 1;
    this.fault = 'nothing went through the relay';
    // Nobody knows whether all was said, so it is no end; the other side follows.
    this.#downstream.breakOff(this.fault);
  }

  /** Which side broke off first is what there is to know; the other one follows. */
  #onSideClosed(fault: string | undefined): void {
    this.fault ??= fault;
    this.#openSides -= 1;
    if (this.#openSides > 0) return;
    if (this.fault !== undefined) this.#deps.stats.relaysCutOff += 1;
    this.#finish();
  }

  #finish(): void {
    this.#deps.relays.delete(this.#downstream);
    this.#deps.deadlines.delete(this);
    this.#deps.accessLog.writeRelay(this);
  }

  get listener(): string {
    return this.#deps.listener;
  }

  get cluster(): string {
    return this.#deps.cluster.name;
  }

  get peer(): string | undefined {
    return this.#downstream.peer;
  }

  get durationMs(): number {
    return this.#deps.clock.monotonicMs() - this.#startedMs;
  }
}

/** What whoever keeps account of one direction is told. */
interface OneWayEvents {
  onBytes(bytes: number): void;
  /** The side that it goes to takes bytes again. */
  onRoom(): void;
  onEnd(): void;
  /** Once, with why where it broke off. */
  onOver(fault: string | undefined): void;
}

/** What comes from one side goes to the other, with its end and its back-pressure. */
class OneWay implements ConnectionListener {
  readonly #from: Connection;
  readonly #to: Connection;
  readonly #events: OneWayEvents;
  #hasEnded = false;

  constructor(from: Connection, to: Connection, events: OneWayEvents) {
    this.#from = from;
    this.#to = to;
    this.#events = events;
  }

  onData(bytes: Buffer): void {
    this.#events.onBytes(bytes.length);
    if (!this.#to.write(bytes)) this.#from.pause();
  }

  /** There is room towards the side this listens to, so the other may be read again. */
  onDrain(): void {
    this.#events.onRoom();
    this.#to.resume();
  }

  onEnd(isBroken: boolean): void {
    if (isBroken) {
      this.#from.destroy('TLS was broken off without close_notify');
      return;
    }
    this.#hasEnded = true;
    this.#to.end();
    this.#events.onEnd();
  }

  /** The relay has one clock for both sides. */
  onDeadline(): void {}

  onClose(reason: string | undefined): void {
    // A side that broke off without an end must not look like one that ended.
    const fault = reason ?? (this.#hasEnded ? undefined : 'it broke off');
    if (fault !== undefined) this.#to.breakOff(fault);
    this.#events.onOver(fault);
  }
}
