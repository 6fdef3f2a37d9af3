/** The sidecar, put together in the order of its dependencies and taken apart in reverse. */

import type { Writable } from 'node:stream';
import {
  type Clock,
  type Closable,
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
import type { ClusterConfig, ListenerConfig, ProxyConfig } from './config.ts';
import { Deadlines } from './net/deadlines.ts';
import { createDialer, type Dialer } from './net/dialer.ts';
import type { TlsMaterial } from './net/mtls/tls-material.ts';
import { TlsSource } from './net/mtls/tls-source.ts';
import { Cluster } from './proxy/cluster.ts';
import { startInbound } from './proxy/inbound.ts';
import { startOutbound } from './proxy/outbound.ts';
import { RequestIds } from './proxy/request-id.ts';
import { type DirectionDeps, protocolsOf, type ServingListener } from './proxy/serving-listener.ts';
import { createPoolStats, createProxyStats, type ProxyStats } from './proxy/stats.ts';
import { type SdsClient, startSdsClient } from './sds/sds-client.ts';

export interface ProxyDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where `accessLog: stdout` goes. */
  readonly stdout: Writable;
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
  const { clock, random, log } = deps;
  const stats = createProxyStats();
  const deadlines = new Deadlines(clock);
  // Secrets first: listeners and clusters ask this one source at every handshake.
  const sds = startSecrets(config, deps, scope);
  const material = sds?.material ?? new WatchSource<TlsMaterial | undefined>(undefined);
  const tlsSource = new TlsSource(material, clock);
  const accessLog = scope.add(openAccessLog(config, deps, scope));
  // Then clusters, so that routes can name them.
  const clusters = startClusters(config, { log, tlsSource, deadlines, stats, scope });
  scope.onClose(tlsSource.subscribe(() => retireAll(clusters)));
  // Then listeners, which make all of it reachable.
  const timeouts = { headMs: config.timeouts.head, idleMs: config.timeouts.idle };
  const requestIds = new RequestIds(random);
  const shared = { clock, log, deadlines, tlsSource, clusters, accessLog, requestIds, stats };
  const serving: ServingListener[] = [];
  for (const listener of config.listeners) {
    serving.push(await startDirection(listener, { ...shared, timeouts }, scope));
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
  return scope.add(startSdsClient({ ...config.sds, node: config.node }, deps));
}

interface ClusterDeps {
  readonly log: Logger;
  readonly tlsSource: TlsSource;
  readonly deadlines: Deadlines;
  readonly stats: ProxyStats;
  readonly scope: Scope;
}

function startClusters(config: ProxyConfig, deps: ClusterDeps): ReadonlyMap<string, Cluster> {
  const clusters = new Map<string, Cluster>();
  const timeouts = { responseMs: config.timeouts.response, idleMs: config.timeouts.upstreamIdle };
  for (const cluster of config.clusters) {
    const counters = createPoolStats();
    deps.stats.clusters.set(cluster.name, counters);
    const dialer = dialerOf(cluster, config, deps);
    clusters.set(
      cluster.name,
      deps.scope.add(new Cluster({ ...cluster, timeouts }, dialer, counters)),
    );
  }
  return clusters;
}

function dialerOf(cluster: ClusterConfig, config: ProxyConfig, deps: ClusterDeps): Dialer {
  const { deadlines, tlsSource: source } = deps;
  const log = deps.log.with({ cluster: cluster.name });
  const dialing = { log, deadlines, connectMsMax: config.timeouts.connect };
  if (cluster.tls === undefined) return createDialer(undefined, dialing);
  // ALPN has to say what the cluster is for, and that stands with the listeners that use it.
  const protocols = protocolsOf(isForHttp1(cluster.name, config) ? 'http1' : 'tcp');
  return createDialer({ source, policy: parsePeerPolicy(cluster.tls.expect), protocols }, dialing);
}

function isForHttp1(name: string, config: ProxyConfig): boolean {
  return config.listeners.some((each) => each.routes?.some((route) => route.cluster === name));
}

async function startDirection(
  config: ListenerConfig,
  deps: DirectionDeps,
  scope: Scope,
): Promise<ServingListener> {
  const { tls } = config;
  const serving =
    tls === undefined
      ? await startOutbound(config, deps)
      : await startInbound({ ...config, tls }, deps);
  scope.add(serving.listener);
  return serving;
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
  const { name, address, protocol } = config;
  return { name, host: address.host, port, protocol, tls: config.tls !== undefined };
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

const drainPollMs = 50;
