/** Plain TCP: bytes both ways between two connections, each direction ending on its own. */

import type { Buffer } from 'node:buffer';
import type { Logger } from '../../core/index.ts';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import type { Cluster } from './cluster.ts';
import type { RelayStats } from './stats.ts';

export interface TcpDeps {
  readonly listener: string;
  readonly cluster: Cluster;
  readonly stats: RelayStats;
  readonly log: Logger;
  /** Connections under way, for draining. */
  readonly relays: Set<Connection>;
}

/** Dials for `downstream` and relays until both directions have ended. Nothing is read before that. */
export function serveTcp(downstream: Connection, deps: TcpDeps, attempts = 1): void {
  const { cluster, stats, log } = deps;
  deps.relays.add(downstream);
  cluster.dial(downstream.endpoints, (outcome) => {
    if (outcome.kind === 'connected') {
      relay(downstream, outcome.connection, deps);
    } else if (attempts < cluster.attemptsMax && !downstream.isClosed) {
      serveTcp(downstream, deps, attempts + 1);
    } else {
      stats.relaysFailed += 1;
      deps.relays.delete(downstream);
      log.warn('a connection could not be relayed', {
        listener: deps.listener,
        cluster: cluster.name,
        reason: outcome.detail,
      });
      downstream.destroy('no upstream connection');
    }
  });
}

function relay(downstream: Connection, upstream: Connection, deps: TcpDeps): void {
  const { stats } = deps;
  if (downstream.isClosed) {
    deps.relays.delete(downstream);
    upstream.destroy();
    return;
  }
  stats.relays += 1;
  downstream.neverExpire();
  upstream.neverExpire();
  upstream.attach(
    new OneWay(upstream, downstream, (bytes) => {
      stats.bytesDownstream += bytes;
    }),
  );
  const inward = new OneWay(downstream, upstream, (bytes) => {
    stats.bytesUpstream += bytes;
  });
  inward.onOver = () => deps.relays.delete(downstream);
  downstream.attach(inward);
}

/** What comes from one side goes to the other, with its end and its back-pressure. */
class OneWay implements ConnectionListener {
  onOver: (() => void) | undefined;
  readonly #from: Connection;
  readonly #to: Connection;
  readonly #count: (bytes: number) => void;
  #hasEnded = false;

  constructor(from: Connection, to: Connection, count: (bytes: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#count = count;
  }

  onData(bytes: Buffer): void {
    this.#count(bytes.length);
    if (!this.#to.write(bytes)) this.#from.pause();
  }

  /** There is room towards the side this listens to, so the other may be read again. */
  onDrain(): void {
    this.#to.resume();
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#to.end();
  }

  /** Idle connections are kept: the protocol inside is not known. TCP's keepalive finds dead peers. */
  onDeadline(): void {}

  onClose(reason: string | undefined): void {
    this.onOver?.();
    // A side that broke off without an end must not look like one that ended.
    if (reason !== undefined || !this.#hasEnded) {
      this.#to.breakOff(reason ?? 'the other side broke off');
    }
  }
}
