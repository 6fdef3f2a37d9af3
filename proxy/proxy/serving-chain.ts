/** Connections of one filter chain, served in its protocol, drained at the end. */

import type { Clock, Logger } from '../../core/index.ts';
import type { AccessLog } from '../access-log.ts';
import type { ChainConfig } from '../chain-config.ts';
import type { ConnectionCount } from '../net/connection-limits.ts';
import type { Connection, ConnectionDeps } from '../net/connection.ts';
import type { TlsSource } from '../net/mtls/tls-source.ts';
import { RefusalLog } from '../net/refusal-log.ts';
import type { Drainable, ExchangeProtocol } from '../stream/exchange-protocol.ts';
import type { ServerTimeouts } from '../stream/stream.ts';
import type { Cluster } from './cluster.ts';
import { serveDetected } from './detect.ts';
import { serveRequests } from './http-session.ts';
import { isRelayed, protocolNamed, type ProtocolTable } from './protocols.ts';
import type { RequestIds } from './request-id.ts';
import type { ListenerCounters, ProxyStats } from './stats.ts';
import { type RelayTimeouts, serveTcp } from './tcp-relay.ts';
import type { TunnelPolicy } from './tunnel-policy.ts';

/** What every listener of a proxy is given. */
export interface DirectionDeps extends ConnectionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly tlsSource: TlsSource;
  readonly protocols: ProtocolTable;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly accessLog: AccessLog;
  readonly requestIds: RequestIds;
  readonly stats: ProxyStats;
  readonly timeouts: ServerTimeouts;
  readonly relayTimeouts: RelayTimeouts;
  /** Accepted connections of all listeners. */
  readonly connections: ConnectionCount;
  readonly firstBytesMsMax: number;
  readonly handshakeMsMax: number;
  readonly detectMsMax: number;
}

/** Connections of one filter chain, served in its protocol. */
export interface ServingChain {
  /** Where a relay's server is known to begin; undefined where nothing is relayed. */
  readonly serverFirstPorts: ReadonlySet<number> | undefined;
  readonly onConnection: (connection: Connection) => void;
  /** Lets requests under way end and closes what is idle. */
  drain(): void;
  /** Connections that are owed something: a request's end, the rest of its response, a relay. */
  openCount(): number;
}

/** `counters` are those of the listener, which all its chains share. */
export function serveProtocol(
  config: ChainConfig,
  listener: string,
  counters: ListenerCounters,
  deps: DirectionDeps,
): ServingChain {
  const { protocol } = config;
  if (isRelayed(protocol)) return servingTcp(config, listener, counters, deps);
  const named = protocolNamed(deps.protocols, protocol);
  // What is no name of a protocol is `auto`.
  if (named === undefined) return servingDetected(config, listener, counters, deps);
  return servingRequests(named, config, listener, counters, deps);
}

/** Each connection by what it speaks; what nobody here speaks is relayed where the config names a cluster for it. */
function servingDetected(
  config: ChainConfig,
  listener: string,
  counters: ListenerCounters,
  deps: DirectionDeps,
): ServingChain {
  const spoken = deps.protocols.map((protocol) => {
    const chain = servingRequests(protocol, config, listener, counters, deps);
    return { codec: protocol.codec, chain };
  });
  const relay =
    config.cluster === undefined ? undefined : servingTcp(config, listener, counters, deps);
  const detecting = {
    ...deps,
    refusals: new RefusalLog(listener, deps.log, deps.clock),
    stats: counters,
    protocols: spoken.map(({ codec, chain }) => ({ ...codec, serve: chain.onConnection })),
    fallback: relay?.onConnection,
    opaquePorts: new Set([...(config.opaquePorts ?? []), ...serverFirstPortsOf(config)]),
  };
  const served = spoken.map(({ chain }) => chain);
  if (relay !== undefined) served.push(relay);
  return {
    serverFirstPorts: relay?.serverFirstPorts,
    onConnection: (connection) => serveDetected(connection, detecting),
    drain: () => {
      for (const each of served) each.drain();
    },
    openCount: () => served.reduce((sum, each) => sum + each.openCount(), 0),
  };
}

function servingRequests(
  protocol: ExchangeProtocol,
  config: ChainConfig,
  listener: string,
  counters: ListenerCounters,
  deps: DirectionDeps,
): ServingChain {
  const sessions = new Set<Drainable>();
  let isDraining = false;
  const routes = (config.routes ?? []).map(({ prefix, cluster, timeout, perTryTimeout }) => ({
    prefix,
    cluster: clusterNamed(cluster, deps),
    timeouts:
      timeout === undefined && perTryTimeout === undefined
        ? undefined
        : { requestMs: timeout, tryMs: perTryTimeout },
  }));
  const tunnels: TunnelPolicy = {
    upgrades: new Set(config.upgrades ?? defaultUpgrades),
    connects: new Map(
      (config.connect ?? []).map(({ authority, cluster, dial }) => [
        authority,
        { cluster: clusterNamed(cluster, deps), dials: dial === true },
      ]),
    ),
  };
  const grpcWeb = config.grpcWeb === true;
  const { upgrades } = tunnels;
  const refusals = new RefusalLog(listener, deps.log, deps.clock);
  const own = { listener, routes, tunnels, upgrades, grpcWeb, stats: counters, sessions, refusals };
  const session = { ...deps, ...own, isDraining: () => isDraining };
  return {
    serverFirstPorts: undefined,
    onConnection: (connection) => serveRequests(protocol, connection, session),
    drain: () => {
      isDraining = true;
      for (const stream of sessions) stream.drain();
    },
    openCount: () => sessions.size,
  };
}

function servingTcp(
  config: ChainConfig,
  listener: string,
  counters: ListenerCounters,
  deps: DirectionDeps,
): ServingChain {
  const relays = new Set<Connection>();
  const cluster = clusterNamed(config.cluster ?? '', deps);
  const timeouts = deps.relayTimeouts;
  const refusals = new RefusalLog(listener, deps.log, deps.clock);
  const relay = { ...deps, timeouts, listener, cluster, stats: counters, relays, refusals };
  return {
    serverFirstPorts: new Set(serverFirstPortsOf(config)),
    onConnection: (connection) => serveTcp(connection, relay),
    // Where one exchange ends and the next begins is not known; the drain's bound ends them.
    drain: () => {},
    openCount: () => relays.size,
  };
}

function serverFirstPortsOf({ serverFirstPorts }: ChainConfig): readonly number[] {
  return serverFirstPorts ?? wellKnownServerFirstPorts;
}

function clusterNamed(name: string, deps: DirectionDeps): Cluster {
  const cluster = deps.clusters.get(name);
  // The config's cross-check has seen to it.
  if (cluster === undefined) throw new RangeError(`there is no cluster ${name}`);
  return cluster;
}

// The one protocol that the world upgrades to. What hides HTTP from us (h2c, TLS) is never among them.
const defaultUpgrades: readonly string[] = ['websocket'];

// FTP, SSH, SMTP, POP3, IMAP and MySQL: clients of these wait for a greeting, and would wait for the deadline.
const wellKnownServerFirstPorts: readonly number[] = [21, 22, 25, 110, 143, 587, 3306];
