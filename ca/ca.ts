/** The certificate authority, assembled in reading order: what is opened first is closed last. */

import { join } from 'node:path';
import { NodeApiService } from '../api/index.ts';
import { type Clock, type Closable, type Logger, type Random, Scope } from '../core/index.ts';
import { createRpcServer } from '../rpc/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import { startAdminServer } from './admin/admin-server.ts';
import { loadAttestors } from './attestation/load-attestors.ts';
import { openAuditLog } from './audit/log.ts';
import { loadAuditKey } from './authority/audit-key.ts';
import { openAuthorities } from './authority/authorities.ts';
import { loadKeyEncryptionKey } from './authority/key-encryption-key.ts';
import { hasArrived } from './authority/evidence.ts';
import { createKeyStore } from './authority/key-store.ts';
import { openJwtKeys } from './authority/jwt-keys.ts';
import { checkLifetimes } from './authority/lifetimes.ts';
import { loadUpstream } from './authority/load-upstream.ts';
import { checkRotationPolicy } from './authority/rotation-policy.ts';
import { claimStore } from './authority/store-identity.ts';
import type { CaConfig } from './config.ts';
import { openClockGuard } from './guards/clock-guard.ts';
import { createIssuanceGate } from './guards/gate.ts';
import type { IssuanceDeps } from './issuance/issue.ts';
import { openPolicyFile } from './issuance/policy-file.ts';
import { openSerials } from './issuance/serial.ts';
import type { MintDeps } from './jwt/mint-jwt-svid.ts';
import { measureCa, measureIssuance, measureRevocations } from './metrics/ca-metrics.ts';
import { measureAuditLog } from './metrics/measured-audit-log.ts';
import { measureStore } from './metrics/measured-store.ts';
import { startMetricsListener } from './metrics/metrics-listener.ts';
import { createReadiness } from './metrics/readiness.ts';
import { createPrometheusMetrics } from './metrics/prometheus-metrics.ts';
import { ConnectedNodes } from './node-api/connected-nodes.ts';
import { nodeApiService } from './node-api/node-api-service.ts';
import { NodePeers } from './node-api/node-peers.ts';
import { startServerSvid } from './node-api/server-svid.ts';
import { auditedEntry } from './registry/audited-entry.ts';
import { startPruning } from './registry/pruning.ts';
import type { RegistrationEntry } from './registry/registration-entry.ts';
import type { AttestedNode } from './registry/attested-node.ts';
import { startOidcServer } from './oidc/oidc-server.ts';
import { createRegistry, type Registry } from './registry/registry.ts';
import { openRegistryView } from './registry/registry-view.ts';
import { openRevocations } from './revocation/revocations.ts';
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
  const { trustDomain, lifetimes } = config;
  const { clock, random, log } = deps;
  const startedAtMs = clock.wallMs();
  // Whoever counts registers what it counts here: `metrics.counter`, `gauge`, `histogram`, or `countOf` a number.
  const metrics = createPrometheusMetrics();

  // What the operator gave, judged before anything is made.
  checkLifetimes(lifetimes);
  checkRotationPolicy(config.rotation, lifetimes);
  const upstream =
    config.upstream === undefined
      ? undefined
      : await loadUpstream(config.upstream, {
          environment: deps.environment,
          trustDomain,
          nowMs: startedAtMs,
        });
  const keyEncryptionKey = await loadKeyEncryptionKey(config.keyEncryptionKey, deps.environment);
  const keyStore = createKeyStore(keyEncryptionKey, random);

  // State: the store is locked for this process, and must be of this trust domain and key.
  const opened = scope.add(await openLevelStore({ directory: join(config.data, 'store') }));
  const { store, outcomes: storeOutcomes } = measureStore(opened, clock, metrics);
  await claimStore(store, keyStore, trustDomain);

  // The audit log before whatever has something to record.
  const auditDirectory = join(config.data, 'audit');
  const auditFiles = scope.add(
    await openAuditLog({
      directory: auditDirectory,
      clock,
      signKey: await loadAuditKey(store, keyStore),
      origin: `${trustDomain}/signet/audit`,
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
  const connected = new ConnectedNodes(clock);
  for (const node of await liveNodes(registry, startedAtMs)) {
    connected.expect(node.id, node.notAfterMs);
  }
  const jwtKeys = scope.add(
    await openJwtKeys({
      store,
      keyStore,
      audit,
      clock,
      log,
      lifeMs: lifetimes.issuingMs,
      hasArrived: (kid) => hasArrived(connected.nodesOf(kid), config.rotation.threshold),
    }),
  );
  const authorities = scope.add(
    await openAuthorities({
      store,
      keyStore,
      audit,
      clock,
      log,
      trustDomain,
      lifetimes,
      jwtKeys: jwtKeys.published,
      rotation: {
        policy: config.rotation,
        propagationOf: (id) => connected.propagationOf(id),
      },
      upstream,
      nextSerial: () => serials.next(),
    }),
  );
  let issued = 0;
  // The view follows the store; a node that was attested a moment ago may not be in it yet.
  const isNode = async (id: SpiffeId): Promise<boolean> => {
    const node = entries.node(id) ?? (await registry.getNode(id));
    return node !== undefined && node.banned === undefined;
  };
  const { trust } = authorities;
  const revocations = scope.add(
    await openRevocations({
      store,
      audit,
      auditDirectory,
      clock,
      log,
      issuers: () => authorities.listIssuers(),
      trust,
      backdateMs: lifetimes.backdateMs,
      issuingMs: lifetimes.issuingMs,
    }),
  );
  // What the operator's rules say, before any key is asked to sign.
  const policyFile = await openPolicyFile(config.policy, {
    clock,
    audit,
    log,
    nodeSelectors: (id) => entries.node(id)?.selectors ?? [],
  });
  const policy = policyFile.judge === undefined ? {} : { policy: policyFile.judge };
  const issuance: IssuanceDeps = {
    ...policy,
    trustDomain,
    lifetimes,
    clock,
    authorities,
    serials,
    audit,
    isNode,
    authorizedEntry: (nodeId, entryId) => entries.authorizedEntry(nodeId, entryId),
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
    whyBlocked: (id) => revocations.whyBlocked(id),
    ...(config.oidc === undefined ? {} : { issuer: config.oidc.issuer }),
  };

  // What stands before issuance: the clock, a rate for each node and for all, fair turns.
  const { limits, clockToleranceMs } = config;
  const clockGuard = await openClockGuard({ store, clock, log, toleranceMs: clockToleranceMs });
  const gate = createIssuanceGate({ limits, clock, clockGuard });

  const recordExpired = async (entry: RegistrationEntry): Promise<void> => {
    await audit.append({ actor: system, type: 'entry.deleted', entry: auditedEntry(entry) });
  };
  scope.add(startPruning({ registry, recordExpired, clock, log }));

  // The door for agents.
  const attestors = await loadAttestors(config.attestors, {
    trustDomain,
    registry,
    clock,
    random,
    log,
  });
  const svid = scope.add(await startServerSvid({ issuance, trust, clock, log }));
  const peers = new NodePeers({
    clock,
    trust,
    isNode,
    isRevoked: (serial) => revocations.isRevoked(serial),
  });
  const server = scope.add(createRpcServer(log));
  server.addService(
    NodeApiService,
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
    clock,
    authorities: () => authorities.current(),
    connected,
    counts: () => entries.counts(),
    gate,
  });
  measureRevocations(metrics, revocations.times);
  const readiness = createReadiness({
    clock,
    random,
    authorities,
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
        random,
        store,
        authorities,
        registry,
        counts: () => entries.counts(),
        connected,
        revocations,
        authorizedEntry: (nodeId, entryId) => issuance.authorizedEntry(nodeId, entryId),
        policies: policyFile,
        jwt,
        audit,
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

/** Nodes whose certificate is still good: they were connected before this start, and will be again. */
async function liveNodes(
  registry: Pick<Registry, 'listNodes'>,
  nowMs: number,
): Promise<readonly AttestedNode[]> {
  const live: AttestedNode[] = [];
  for (let after: string | undefined; ; ) {
    const page = await registry.listNodes(after === undefined ? {} : { after });
    live.push(
      ...page.items.filter(({ notAfterMs, banned }) => notAfterMs > nowMs && banned === undefined),
    );
    if (page.next === undefined) return live;
    after = page.next;
  }
}

const version = '0.1.0';
