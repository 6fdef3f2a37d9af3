/** The sidecar, put together in the order of its dependencies and taken apart in reverse. */

import type { Writable } from 'node:stream';
import {
  afterTurn,
  type Clock,
  type Closable,
  createYoungCollector,
  type Logger,
  type Random,
  Scope,
  sleep,
  type Watch,
  WatchSource,
} from '../core/index.ts';
import { parsePeerPolicy } from '../policies/index.ts';
import { openAccessLogFile } from './access-log-file.ts';
import { type AccessLog, createAccessLog, noAccessLog } from './access-log.ts';
import { startAdmin } from './admin/admin-server.ts';
import type { BoundListener } from './admin/proxy-view.ts';
import { viewOf } from './admin/view-of.ts';
import { type ClusterConfig, type ProxyConfig, requestClusters } from './config.ts';
import { chainsOf, type ListenerConfig } from './listener-config.ts';
import { ConnectionCount } from './net/connection-limits.ts';
import type { ConnectionDeps } from './net/connection.ts';
import { Deadlines } from './net/deadlines.ts';
import { createDialer, type Dialer } from './net/dialer.ts';
import type { TlsMaterial } from './net/mtls/tls-material.ts';
import type { LostTrust } from './net/mtls/live-peers.ts';
import { TlsSource } from './net/mtls/tls-source.ts';
import { ReadMemory } from './net/read-memory.ts';
import { WriteTurn } from './net/write-turn.ts';
import { Cluster } from './proxy/cluster.ts';
import { RequestIds } from './proxy/request-id.ts';
import {
  alpnOf,
  protocolNamed,
  protocols as ownProtocols,
  type ProtocolTable,
} from './proxy/protocols.ts';
import { type ServingListener, startServing } from './proxy/serving-listener.ts';
import { createPoolStats, createProxyStats, type ProxyStats } from './proxy/stats.ts';
import { type SdsClient, startSdsClient } from './sds/sds-client.ts';
import type { ExchangeProtocol } from './stream/exchange-protocol.ts';
import type { PoolStats } from './stream/pool.ts';
import { waitMsMaxOf } from './timeouts-config.ts';

export interface ProxyDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where `accessLog: stdout` goes. */
  readonly stdout: Writable;
  /** What it speaks, in the order in which detection asks; the proxy's own table if not given. */
  readonly protocols?: ProtocolTable;
}

export interface RunningProxy extends Closable {
  readonly adminPort: number;
  readonly listeners: readonly BoundListener[];
  /** The certificate and bundles in use; undefined until the first have arrived. */
  readonly material: Watch<TlsMaterial | undefined>;
}

/**
 * Starts everything, or nothing: a failure half-way closes what stood. It does not wait for secrets;
 * until they arrive TLS listeners close what connects, and `/readyz` says so.
 *
 * Throws rpc's ListenError for an address that cannot be had.
 *
 * @example
 * const proxy = await startProxy(parseProxyConfig(text, 'proxy.yaml'), { clock, random, log, stdout });
 */
export async function startProxy(config: ProxyConfig, deps: ProxyDeps): Promise<RunningProxy> {
  const scope = new Scope();
  try {
    return await assemble(config, deps, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function assemble(config: ProxyConfig, deps: ProxyDeps, scope: Scope): Promise<RunningProxy> {
  const { clock, random, log, protocols = ownProtocols } = deps;
  const stats = createProxyStats();
  const reads = new ReadMemory(createYoungCollector());
  const connections = { deadlines: new Deadlines(clock), writes: new WriteTurn(afterTurn), reads };
  // Secrets first: listeners and clusters ask this one source at every handshake.
  const sds = startSecrets(config, deps, scope);
  const material = sds?.material ?? new WatchSource<TlsMaterial | undefined>(undefined);
  const { supersededAgeMax } = config.tls;
  const superseded =
    supersededAgeMax === undefined
      ? undefined
      : { ageMsMax: supersededAgeMax, drainMs: config.timeouts.drain };
  const tlsSource = new TlsSource(material, clock, superseded);
  scope.onClose(() => tlsSource.close());
  const accessLog = scope.add(openAccessLog(config, deps, scope));
  // Then clusters, so that routes can name them.
  const clusters = startClusters(config, {
    clock,
    random,
    log,
    tlsSource,
    protocols,
    connections,
    stats,
    scope,
  });
  scope.onClose(tlsSource.subscribe(() => retireAll(clusters)));
  // Then listeners, which make all of it reachable.
  const timeouts = {
    headMs: config.timeouts.head,
    idleMs: config.timeouts.idle,
    tunnelIdleMs: config.timeouts.tunnelIdle,
  };
  const requestIds = new RequestIds(random);
  const shared = {
    ...connections,
    clock,
    log,
    tlsSource,
    protocols,
    clusters,
    accessLog,
    requestIds,
    stats,
    timeouts,
    relayTimeouts: {
      idleMs: config.timeouts.relayIdle,
      halfClosedMs: config.timeouts.relayHalfClosed,
    },
    connections: new ConnectionCount(config.connectionsMax),
    firstBytesMsMax: config.timeouts.firstBytes,
    handshakeMsMax: config.timeouts.handshake,
    detectMsMax: config.timeouts.detect,
  };
  const serving: ServingListener[] = [];
  for (const listener of config.listeners) {
    const started = await startServing(listener, shared);
    scope.add(started.listener);
    serving.push(started);
  }
  // Last the admin port, since it shows the others.
  let isDraining = false;
  const listeners = config.listeners.map((each, at) =>
    bound(each, serving[at]?.listener.port ?? 0),
  );
  const view = viewOf({
    clock,
    config,
    listeners,
    stats,
    accessLog,
    material,
    secrets: () => sds?.secrets() ?? [],
    isDraining: () => isDraining,
  });
  const admin = scope.add(await startAdmin(config.admin, view));
  for (const each of listeners) log.info('listening', { ...each });
  log.info('proxy started', { node: config.node.id, adminPort: admin.port });
  return {
    adminPort: admin.port,
    listeners,
    material,
    async close() {
      isDraining = true;
      await drain(serving, config.timeouts.drain, clock);
      await scope.close();
    },
  };
}

function startSecrets(config: ProxyConfig, deps: ProxyDeps, scope: Scope): SdsClient | undefined {
  if (config.sds === undefined) return undefined;
  return scope.add(
    startSdsClient({ ...config.sds, node: config.node, minVersion: config.tls.minVersion }, deps),
  );
}

interface ClusterDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly tlsSource: TlsSource;
  readonly protocols: ProtocolTable;
  readonly connections: ConnectionDeps;
  readonly stats: ProxyStats;
  readonly scope: Scope;
}

function startClusters(config: ProxyConfig, deps: ClusterDeps): ReadonlyMap<string, Cluster> {
  const clusters = new Map<string, Cluster>();
  const timeouts = { responseMs: config.timeouts.response, idleMs: config.timeouts.upstreamIdle };
  for (const cluster of config.clusters) {
    const counters = createPoolStats();
    deps.stats.clusters.set(cluster.name, counters);
    const dialer = dialerOf(cluster, config, deps, counters);
    clusters.set(
      cluster.name,
      deps.scope.add(
        new Cluster(
          {
            ...cluster,
            protocol: protocolOf(cluster, deps.protocols),
            timeouts,
            waitMsMax: waitMsMaxOf(config.timeouts),
          },
          {
            clock: deps.clock,
            random: deps.random,
            deadlines: deps.connections.deadlines,
            dialer,
            stats: counters,
          },
        ),
      ),
    );
  }
  return clusters;
}

function dialerOf(
  cluster: ClusterConfig,
  config: ProxyConfig,
  deps: ClusterDeps,
  counters: PoolStats,
): Dialer {
  const { connections, tlsSource: source } = deps;
  const log = deps.log.with({ cluster: cluster.name });
  const onEnded = (why: LostTrust): void => {
    counters[endedCounters[why]] += 1;
  };
  const { proxyProtocol } = cluster;
  const connectMsMax = config.timeouts.connect;
  const dialing = { ...connections, log, connectMsMax, proxyProtocol, onEnded };
  if (cluster.tls === undefined) return createDialer(undefined, dialing);
  // ALPN has to say what the cluster is for, and that stands with the listeners that use it.
  const offered = isRequested(cluster.name, config) ? alpnOf(deps.protocols, cluster.protocol) : [];
  const policy = parsePeerPolicy(cluster.tls.expect, cluster.tls.deny);
  return createDialer({ source, policy, protocols: offered }, dialing);
}

function protocolOf({ name, protocol }: ClusterConfig, table: ProtocolTable): ExchangeProtocol {
  const found = protocolNamed(table, protocol);
  // The config takes no name that is not in the table.
  if (found === undefined) throw new RangeError(`cluster ${name} speaks ${protocol}`);
  return found;
}

function isRequested(name: string, config: ProxyConfig): boolean {
  return config.listeners.flatMap(chainsOf).some((chain) => requestClusters(chain).includes(name));
}

function openAccessLog(config: ProxyConfig, deps: ProxyDeps, scope: Scope): AccessLog {
  if (config.accessLog === 'off') return noAccessLog;
  if (config.accessLog === 'stdout') return createAccessLog(deps.stdout, deps.clock);
  const file = openAccessLogFile(config.accessLog, deps.log);
  // After the log itself, which writes its last lines first.
  scope.onClose(() => void file.end());
  return createAccessLog(file, deps.clock);
}

function bound(config: ListenerConfig, port: number): BoundListener {
  const { name, address } = config;
  const chains = chainsOf(config);
  return {
    name,
    host: 'path' in address ? `unix:${address.path}` : address.host,
    port,
    protocol: [...new Set(chains.map((chain) => chain.protocol))].join(', '),
    tls: chains.some((chain) => chain.tls !== undefined),
  };
}

function retireAll(clusters: ReadonlyMap<string, Cluster>): void {
  for (const cluster of clusters.values()) cluster.retire();
}

/** Stops accepting, then waits for what is under way, up to the bound. */
async function drain(
  serving: readonly ServingListener[],
  boundMs: number,
  clock: Clock,
): Promise<void> {
  for (const each of serving) {
    each.listener.stopAccepting();
    each.drain();
  }
  const untilMs = clock.monotonicMs() + boundMs;
  while (serving.some((each) => each.openCount() > 0) && clock.monotonicMs() < untilMs) {
    await sleep(clock, drainPollMs);
  }
}

const endedCounters = {
  revoked: 'peersRevoked',
  untrusted: 'peersUntrusted',
  superseded: 'superseded',
} as const satisfies Record<LostTrust, keyof PoolStats>;

const drainPollMs = 50;
