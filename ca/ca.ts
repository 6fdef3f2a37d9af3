/** The certificate authority, assembled in reading order: what is opened first is closed last. */

import { join } from 'node:path';
import { type Clock, type Closable, type Logger, type Random, Scope } from '../core/index.ts';
import { createRpcServer } from '../rpc/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import { startAdminServer } from './admin/admin-server.ts';
import { startTtlCheck } from './admin/stored-ttls.ts';
import { loadAttestors } from './attestation/load-attestors.ts';
import { usualPace } from './audit/log.ts';
import { openRememberedLog } from './audit-memory/remembered-log.ts';
import { loadAuditKey } from './authority/audit-key.ts';
import { revokedAuthorities } from './authority/list-issuers.ts';
import { openKeys } from './authority/open-keys.ts';
import { claimStore } from './authority/store-identity.ts';
import type { CaConfig } from './config.ts';
import { openClockGuard } from './guards/clock-guard.ts';
import { createIssuanceGate } from './guards/gate.ts';
import { judgeConfig } from './judge-config.ts';
import type { IssuanceDeps } from './issuance/issue.ts';
import { openPolicyFile } from './issuance/policy-file.ts';
import { openSerials } from './issuance/serial.ts';
import { openSignatures } from './issuance/signing-workers.ts';
import type { MintDeps } from './jwt/mint-jwt-svid.ts';
import { measureCa, measureIssuance, measureRevocations } from './metrics/ca-metrics.ts';
import { measureMinting, measureVerdicts } from './metrics/issuance-metrics.ts';
import { measureAuditLog } from './metrics/measured-audit-log.ts';
import { measureStore } from './metrics/measured-store.ts';
import { startMetricsListener } from './metrics/metrics-listener.ts';
import { createReadiness } from './metrics/readiness.ts';
import { createPrometheusMetrics } from './metrics/prometheus-metrics.ts';
import { ConnectedNodes } from './node-api/connected-nodes.ts';
import { nodeApiDefinition } from './node-api/entry-messages.ts';
import { nodeApiService, nodeMessageBytesMax } from './node-api/node-api-service.ts';
import { NodePeers } from './node-api/node-peers.ts';
import { startServerSvid } from './node-api/server-svid.ts';
import { startPruning } from './registry/pruning.ts';
import { liveNodes } from './registry/live-nodes.ts';
import { startOidcServer } from './oidc/oidc-server.ts';
import { createRegistry } from './registry/registry.ts';
import { openRegistryView } from './registry/registry-view.ts';
import { openForeignBundles } from './federation/foreign-bundles.ts';
import { openRevocations } from './revocation/revocations.ts';
import { openSecrets } from './secrets/open-secrets.ts';
import { openLevelStore } from './store/level-store.ts';

export interface CaDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface RunningCa extends Closable {
  /** Where agents reach it: the port that was asked for, or the one that was free. */
  readonly agentPort: number;
  readonly adminSocket: string;
  /** Of the discovery endpoint, where one is configured. */
  readonly oidcPort?: number;
  /** Of the admin API over mutual TLS, where the config asks for it. */
  readonly adminPort: number | undefined;
  /** Of the plain listener for metrics and probes, where the config asks for it. */
  readonly metricsPort: number | undefined;
}

/**
 * Starts a CA; when it resolves, agents and operators are served. What it had opened is closed again
 * when it fails. Throws errors with a code, a kind and a remedy: AuthorityError, StoreError, AuditError,
 * ListenError, FileError.
 *
 * @example
 * const config = parseCaConfig(await readText('ca.yaml'), 'ca.yaml');
 * const ca = await startCa(config, { clock: systemClock, random: systemRandom, log, environment });
 */
export async function startCa(config: CaConfig, deps: CaDeps): Promise<RunningCa> {
  const scope = new Scope();
  try {
    return await assemble(config, deps, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function assemble(config: CaConfig, deps: CaDeps, scope: Scope): Promise<RunningCa> {
  const { trustDomain, lifetimes, clockToleranceMs: toleranceMs } = config;
  const { issuingMs } = lifetimes;
  const { clock, random, log } = deps;
  const startedAtMs = clock.wallMs();
  // Whoever counts registers what it counts here: `metrics.counter`, `gauge`, `histogram`, or `countOf` a number.
  const metrics = createPrometheusMetrics();

  const { keyStore, upstream } = await judgeConfig(config, { ...deps, nowMs: startedAtMs });

  // State: the store is locked for this process, and must be of this trust domain and key.
  const opened = scope.add(await openLevelStore({ directory: join(config.data, 'store') }));
  const { store, outcomes: storeOutcomes } = measureStore(opened, clock, metrics);
  await claimStore(store, keyStore, trustDomain);
  // Before whatever acts on the time: a step that was taken too early stays taken.
  const clockGuard = scope.add(await openClockGuard({ store, clock, log, toleranceMs, issuingMs }));
  const mayForget = (): boolean => clockGuard.trust() === 'sure';

  // The audit log before whatever has something to record.
  const auditDirectory = join(config.data, 'audit');
  const auditFiles = scope.add(
    await openRememberedLog({
      store,
      directory: auditDirectory,
      clock,
      log,
      segmentBytesMax: config.auditSegmentBytes,
      signKey: await loadAuditKey(store, keyStore),
      origin: `${trustDomain}/signet/audit`,
      pace: usualPace,
      archivableAfterMs: Math.max(issuingMs, config.jwt.ttlMsMax) + lifetimes.backdateMs,
    }),
  );
  const { audit, outcomes: auditOutcomes } = measureAuditLog(auditFiles, clock, metrics);
  await audit.append({ actor: system, type: 'ca.started', trustDomain, version });
  scope.onClose(async () => {
    await audit.append({ actor: system, type: 'ca.stopped' });
  });

  const registry = createRegistry({ store, clock, random, trustDomain });
  const entries = scope.add(await openRegistryView({ store, trustDomain, clock, random, log }));

  // Keys: only what is below here can reach a Signer, and only through issuance.
  const serials = await openSerials(store, random);
  const connected = new ConnectedNodes(clock, clockGuard);
  // By a clock that is not believed nobody's certificate has ended.
  const isTrusted = clockGuard.doubt('settled') === undefined;
  const live = await liveNodes(registry, isTrusted ? startedAtMs : 0);
  for (const { id, notAfterMs } of live) connected.expect(id, notAfterMs);
  const signatures = openSignatures(config.signingWorkers);
  const { jwtKeys, authorities } = await openKeys(
    {
      signatures,
      store,
      keyStore,
      audit,
      clock,
      clockJudgement: clockGuard,
      log,
      trustDomain,
      lifetimes,
      tokenMs: config.jwt.ttlMsMax,
      policy: config.rotation,
      connected,
      upstream,
      nextSerial: () => serials.next(),
    },
    scope,
  );
  let issued = 0;
  // The view follows the store; a node that was attested a moment ago may not be in it yet.
  const isNode = async (id: SpiffeId): Promise<boolean> => {
    const node = entries.node(id) ?? (await registry.getNode(id));
    return node !== undefined && node.banned === undefined;
  };
  const nodeStands = async (id: SpiffeId): Promise<boolean> =>
    ((await registry.getNode(id)) ?? { banned: true }).banned === undefined;
  const { trust } = authorities;
  const revocations = scope.add(
    await openRevocations({
      store,
      audit,
      auditDirectory,
      clock,
      log,
      issuers: () => authorities.listIssuers(),
      revokedAuthorities: () => revokedAuthorities(authorities.current(), clock.wallMs()),
      trust,
      backdateMs: lifetimes.backdateMs,
      issuingMs,
      mayForget,
    }),
  );
  const secrets = scope.add(
    await openSecrets({
      store,
      keyStore,
      trustDomain,
      ticketEpochMs: config.ticketEpochMs,
      whyBlocked: (id) => revocations.whyBlocked(id),
      clock,
      random,
      log,
    }),
  );
  const foreignBundles = await openForeignBundles({ store, audit, clock, trust });
  // What the operator's rules say, before any key is asked to sign.
  const policyFile = await openPolicyFile(config.policy, {
    clock,
    audit,
    log,
    nodeSelectors: (id) => entries.node(id)?.selectors ?? [],
  });
  const judge = measureVerdicts(metrics, policyFile.judge);
  const policy = judge === undefined ? {} : { policy: judge };
  const issuance: IssuanceDeps = {
    ...policy,
    trustDomain,
    lifetimes,
    clock,
    authorities,
    signatures,
    serials,
    audit,
    isNode,
    nodeStands,
    authorizedEntry: (...asked) => entries.authorizedEntry(...asked),
    whyBlocked: (id) => revocations.whyBlocked(id),
    onRecorded: (event) => revocations.issued(event),
    observer: measureIssuance(metrics),
    onIssued: () => {
      issued += 1;
    },
  };

  const jwt: MintDeps = {
    ...policy,
    clock,
    random,
    keys: jwtKeys,
    audit,
    lifetimes: config.jwt,
    observer: measureMinting(metrics),
    whyBlocked: (id) => revocations.whyBlocked(id),
    nodeStands,
    ...(config.oidc === undefined ? {} : { issuer: config.oidc.issuer }),
  };

  // What stands before issuance: the clock, a rate for each node and for all, fair turns.
  const gate = createIssuanceGate({ limits: config.limits, clock, clockGuard });

  scope.add(startTtlCheck({ registry, lifetimes, jwt, log }));
  scope.add(startPruning({ registry, audit, clock, log, mayForget }));

  // The door for agents.
  const attestors = await loadAttestors(config.attestors, {
    trustDomain,
    registry,
    audit,
    clock,
    random,
    log,
  });
  const svid = scope.add(
    await startServerSvid({ issuance, trust, clock, log, clockJudgement: clockGuard }),
  );
  const peers = new NodePeers({
    clock,
    trust,
    isNode,
    isRevoked: (serial) => revocations.isRevoked(serial),
  });
  const server = scope.add(createRpcServer(log, { messageBytesMax: nodeMessageBytesMax }));
  server.addService(
    nodeApiDefinition,
    nodeApiService(server.lookup, {
      attestors,
      issuance,
      jwt,
      gate,
      trust,
      registry,
      audit,
      entries,
      connected,
      revocations,
      secrets,
      secretHeads: secrets.heads,
      foreignBundles,
      peers,
      x509SvidMs: lifetimes.x509SvidMs,
      clock,
      log,
    }),
  );
  const { host } = config.listen;
  const { port } = await server.listenTls({
    ...config.listen,
    context: () => svid.context(),
    verifyPeer: (chain) => peers.verify(chain),
  });

  // The door for whoever verifies tokens.
  const oidc =
    config.oidc === undefined ? undefined : scope.add(await startOidcServer(config.oidc, trust));

  // What is measured, and the door for whoever scrapes and probes.
  measureCa(metrics, {
    authorities,
    jwtKeys,
    connected,
    counts: () => entries.counts(),
    gate,
  });
  measureRevocations(metrics, revocations.times);
  const readiness = createReadiness({
    clock,
    random,
    authorities,
    jwtKeys,
    audit: auditOutcomes,
    store: storeOutcomes,
    directory: config.data,
    clockFault: () => gate.clockFault(),
  });
  const metricsListener =
    config.metrics === undefined
      ? undefined
      : scope.add(await startMetricsListener({ ...config.metrics, metrics, readiness, log }));

  // The door for operators last: whoever sees it open sees a CA that works.
  const agentAddress = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const { admin } = config;
  const adminServer = scope.add(
    await startAdminServer(
      {
        trustDomain,
        lifetimes,
        clock,
        clockJudgement: clockGuard,
        random,
        store,
        authorities,
        jwtKeys,
        registry,
        counts: () => entries.counts(),
        connected,
        revocations,
        foreignBundles,
        secrets: secrets.store,
        authorizedEntry: (nodeId, entryId) => issuance.authorizedEntry(nodeId, entryId),
        administrators: entries,
        policies: policyFile,
        jwt,
        gate,
        audit,
        archiveMarker: auditFiles,
        auditDirectory,
        startedAtMs,
        version,
        agentAddress,
        issued: () => issued,
        metrics,
        readiness,
      },
      {
        socketPath: config.adminSocket,
        ...(admin === undefined ? {} : { tls: { ...admin, context: () => svid.context() } }),
      },
      log,
    ),
  );
  log.info('certificate authority ready', {
    trustDomain,
    agents: agentAddress,
    admin: config.adminSocket,
    root: trust.current().activeRoot.id,
  });
  return {
    ...(oidc === undefined ? {} : { oidcPort: oidc.port }),
    agentPort: port,
    adminSocket: config.adminSocket,
    adminPort: adminServer.port,
    metricsPort: metricsListener?.port,
    close: () => scope.close(),
  };
}

const system = { kind: 'system', id: 'ca' } as const;

const version = '0.1.0';
