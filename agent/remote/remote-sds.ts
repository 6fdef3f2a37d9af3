/**
 * SDS over mutual TLS, for sidecars on machines without an agent: a node like an agent to the CA, with entries
 * of its own, whose callers are known by their certificates and not by the kernel.
 */

import {
  type Clock,
  type Closable,
  type Logger,
  type Random,
  Scope,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { createRpcServer } from '../../rpc/index.ts';
import { addSecretDiscovery, type SdsClient, sdsMessageBytesMax } from '../../sds-server/index.ts';
import { startAgentAdmin } from '../admin/agent-admin.ts';
import type { AttestedSources } from '../admin/agent-sources.ts';
import { createKnownCallers } from '../admin/known-callers.ts';
import type { AgentError } from '../agent-error.ts';
import { createAgentSecretSource } from '../agent-secret-source.ts';
import { formatAddress } from '../ca-client.ts';
import { CaStandings } from '../ca-standing.ts';
import { watchEndOfService } from '../end-of-service.ts';
import { sweepRetiredKeys } from '../key-memory.ts';
import type { NodeApi } from '../node-api.ts';
import { nodeEvidenceOf } from '../node-evidence.ts';
import { startNodeSession } from '../node-session.ts';
import type { MemorySweep } from '../protect-process.ts';
import { createPushedState, whyNotOurs } from '../pushed-state.ts';
import { keepAgent, openAgentCache } from '../sealed-cache/keep-agent.ts';
import type { SealedCacheStatus } from '../sealed-cache/sealed-cache.ts';
import { followSecrets } from '../secret-reports.ts';
import { createHeldSecrets } from '../secrets/held-secrets.ts';
import { watchSurvival } from '../survival.ts';
import type { EntrySvids } from '../svid/entry-svid.ts';
import { startSvidRotation } from '../svid/svid-rotation.ts';
import { startSync } from '../sync.ts';
import { createTrustReports } from '../trust-reports.ts';
import type { AttestorStatus } from '../workload/attestor-runs.ts';
import { createCallerIdentities } from '../workload/caller-identities.ts';
import { createDerivedIdentities } from '../workload/derived-identities.ts';
import { CallerLimits } from './caller-limits.ts';
import { listenerContext } from './listener-context.ts';
import type { RemoteSdsConfig } from './remote-config.ts';
import { RemotePeers } from './remote-peers.ts';

export interface RemoteSdsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version?: string;
  /** Aborted to give up while it is still waiting for its CA. */
  readonly stopped?: AbortSignal;
  /** Called after keys were retired, so that they leave the memory. */
  readonly sweepMemory?: MemorySweep;
}

export interface RunningRemoteSds extends Closable {
  readonly port: number;
  readonly adminSocket: string | undefined;
  /** What its certificate says, and what sidecars verify it by. */
  readonly nodeId: string;
  /** The sealed cache, by which it goes on after a restart without its CA. */
  readonly cache: Watch<SealedCacheStatus>;
  /** Resolves when there is no more to do, as an agent's does. */
  readonly refused: Promise<AgentError>;
}

/**
 * Resolves once the node is attested and it listens; with what a former start left in the sealed cache, at once.
 * Rejects with an error that names the remedy; nothing is left running then.
 */
export async function startRemoteSds(
  config: RemoteSdsConfig,
  deps: RemoteSdsDeps,
): Promise<RunningRemoteSds> {
  const scope = new Scope();
  try {
    return await start(config, deps, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function start(
  config: RemoteSdsConfig,
  deps: RemoteSdsDeps,
  scope: Scope,
): Promise<RunningRemoteSds> {
  const { clock, random, log } = deps;
  const { trustDomain, listen } = config;
  const version = deps.version ?? 'unknown';
  const signal = deps.stopped ?? new AbortController().signal;
  const evidence = await nodeEvidenceOf(config, deps.environment);

  const cache = scope.add(await openAgentCache(config, deps));
  const restored = await cache.load((found) => whyNotOurs(found, config, log));
  const pushed = createPushedState({ trustDomain, restored, log });
  const { state } = pushed;
  const svids = new WatchSource<EntrySvids>(
    new Map((restored?.svids ?? []).map((held) => [held.entryId, held])),
  );
  const trust = createTrustReports();
  const standings = new CaStandings(clock);
  const caApi = new WatchSource<NodeApi | undefined>(undefined);

  const limits = new CallerLimits(config.limits, clock);
  const peers = scope.add(new RemotePeers({ trustDomain, state, limits, clock, log }));
  const derived = scope.add(createDerivedIdentities({ state, clock, log }));
  const identities = createKnownCallers(
    createCallerIdentities({ callers: peers, state, svids, derived }),
  );
  const secrets = scope.add(createHeldSecrets({ api: caApi, state, clock, random, log }));
  const server = scope.add(createRpcServer(log, { messageBytesMax: sdsMessageBytesMax }));
  const sds = addSecretDiscovery(server, {
    source: createAgentSecretSource({ identities, held: secrets, state, trustDomain }),
    aliases: config.sds.aliases,
    observer: trust,
    admission: limits,
    clock,
    random,
    log,
  });
  const reports = scope.add(followSecrets({ clients: sds.clients, spiffeIdOf, clock }));

  // Operators are served from the first moment: they may want to know why it does not get on.
  let attested: (() => AttestedSources) | undefined;
  if (config.adminSocket !== undefined) {
    const operators = {
      trustDomain,
      version,
      startedAtMs: clock.wallMs(),
      socket: formatAddress(listen),
      caAddress: config.ca.addresses.map(formatAddress).join(', '),
      clock,
      standing: standings.standing,
      state: derived.state,
      svids,
      // Callers are known by their certificates: there is nothing to ask the kernel.
      attestors: [],
      attestorStatus: new WatchSource<readonly AttestorStatus[]>([]),
      callers: identities,
      sds,
      attested: () => attested?.(),
      cache: () => cache.status.current(),
    };
    scope.add(await startAgentAdmin(config.adminSocket, operators, { random, log }));
  }

  // Attested before it listens, unless a former start left it attested: there is no certificate to show before that.
  const node = await startNodeSession(
    config,
    { clock, random, log, version, evidence, state, restored, standings, signal },
    scope,
  );
  const { link } = node;
  caApi.set(link.api.current());
  scope.onClose(link.api.subscribe((api) => caApi.set(api)));
  const { refused, turnedAway } = node;
  void refused.then((error) => {
    standings.refused(error);
    return cache.forget();
  });
  scope.onClose(turnedAway.subscribe((error) => standings.turnedAway(error)));

  const rotation = scope.add(
    startSvidRotation({
      api: link.api,
      state: derived.state,
      clock,
      random,
      log,
      restored: restored?.svids ?? [],
    }),
  );
  svids.set(rotation.svids.current());
  scope.onClose(rotation.svids.subscribe((value) => svids.set(value)));
  const { over } = scope.add(watchEndOfService({ refused, turnedAway, svids, clock }));
  const { survival } = scope.add(watchSurvival({ svids, node: node.svid, clock }));
  const { sweepMemory } = deps;
  if (sweepMemory !== undefined) {
    scope.add(sweepRetiredKeys({ svids, node: node.svid, secrets, sweep: sweepMemory, clock }));
  }
  attested = () => ({
    node: node.svid.current(),
    refusals: rotation.refusals(),
    survival: survival.current(),
  });
  scope.add(
    startSync({
      api: link.api,
      reconnect: () => link.reconnect(),
      onBroken: (error) => node.onBroken(error),
      ended: node.ended,
      trust,
      secrets: reports,
      standings,
      state,
      apply: (response) => pushed.apply(response, node.firstBundles),
      clock,
      random,
      log,
      version,
    }),
  );
  keepAgent({ cache, config, node, pushed, svids, held: () => rotation.held(), clock }, scope);

  const context = new WatchSource(listenerContext(node.svid.current()));
  scope.onClose(node.svid.subscribe((svid) => context.set(listenerContext(svid))));
  const { port } = await server.listenTls({
    ...listen,
    context: () =>
      clock.wallMs() < node.svid.current().notAfterMs ? context.current() : undefined,
    verifyPeer: (chain) => peers.verify(chain),
    onCaller: (caller, chain) => peers.admit(caller, chain),
    connectionsMax: config.limits.connections,
  });
  const nodeId = node.svid.current().id;
  log.info('SDS is served over mutual TLS', { host: listen.host, port, spiffeId: nodeId });
  return {
    port,
    adminSocket: config.adminSocket,
    nodeId,
    cache: cache.status,
    refused: over,
    close: () => scope.close(),
  };
}

/** Whose words they are: the sidecar's own identity, and not one that it is given here. */
function spiffeIdOf({ peer }: SdsClient): string {
  return peer.kind === 'tls' ? (peer.spiffeId ?? '') : '';
}
