/** What inbound and outbound have in common: connections of a listener, served in its protocol, drained at the end. */

import type { Clock, Logger } from '../../core/index.ts';
import type { AccessLog } from '../access-log.ts';
import type { ListenerConfig } from '../config.ts';
import type { Connection } from '../net/connection.ts';
import type { Deadlines } from '../net/deadlines.ts';
import type { Listener } from '../net/listener.ts';
import type { TlsSource } from '../net/mtls/tls-source.ts';
import type { ServerConnection, ServerTimeouts } from '../stream/server-connection.ts';
import type { Cluster } from './cluster.ts';
import { serveHttp1 } from './http1-session.ts';
import type { RequestIds } from './request-id.ts';
import { createListenerCounters, type ListenerCounters, type ProxyStats } from './stats.ts';
import { serveTcp } from './tcp-relay.ts';

/** What every listener of a proxy is given. */
export interface DirectionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly deadlines: Deadlines;
  readonly tlsSource: TlsSource;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly accessLog: AccessLog;
  readonly requestIds: RequestIds;
  readonly stats: ProxyStats;
  readonly timeouts: ServerTimeouts;
}

export interface Serving {
  readonly counters: ListenerCounters;
  readonly onConnection: (connection: Connection) => void;
  /** Lets requests under way end and closes what is idle. */
  drain(): void;
  /** Requests or relays that have not ended. */
  openCount(): number;
}

export interface ServingListener extends Serving {
  readonly listener: Listener;
}

export function serveProtocol(config: ListenerConfig, deps: DirectionDeps): Serving {
  const counters = createListenerCounters();
  deps.stats.listeners.set(config.name, counters);
  return config.protocol === 'tcp'
    ? servingTcp(config, counters, deps)
    : servingHttp1(config, counters, deps);
}

/** What ALPN offers. A peer that wants only something else is told so in its handshake. */
export function protocolsOf(protocol: ListenerConfig['protocol']): readonly string[] {
  return protocol === 'http1' ? ['http/1.1'] : [];
}

function servingHttp1(
  config: ListenerConfig,
  counters: ListenerCounters,
  deps: DirectionDeps,
): Serving {
  const sessions = new Set<ServerConnection>();
  const routes = (config.routes ?? []).map(({ prefix, cluster }) => ({
    prefix,
    cluster: clusterNamed(cluster, deps),
  }));
  const session = { ...deps, listener: config.name, routes, stats: counters, sessions };
  return {
    counters,
    onConnection: (connection) => serveHttp1(connection, session),
    drain: () => {
      for (const stream of sessions) stream.drain();
    },
    openCount: () => sessions.size,
  };
}

function servingTcp(
  config: ListenerConfig,
  counters: ListenerCounters,
  deps: DirectionDeps,
): Serving {
  const relays = new Set<Connection>();
  const cluster = clusterNamed(config.cluster ?? '', deps);
  const relay = { ...deps, listener: config.name, cluster, stats: counters, relays };
  return {
    counters,
    onConnection: (connection) => serveTcp(connection, relay),
    // Where one exchange ends and the next begins is not known; the drain's bound ends them.
    drain: () => {},
    openCount: () => relays.size,
  };
}

function clusterNamed(name: string, deps: DirectionDeps): Cluster {
  const cluster = deps.clusters.get(name);
  // The config's cross-check has seen to it.
  if (cluster === undefined) throw new RangeError(`there is no cluster ${name}`);
  return cluster;
}
