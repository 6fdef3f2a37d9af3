/**
 * The agent, assembled: it joins the mesh, then serves identities to the processes of its machine.
 *
 * The numbers are those of a certificate's life: 1 attest the node, 2 learn the entries, 3–5 know the
 * caller and its entries, 6 make keys and requests, 9 check and publish. 7 and 8 happen in the CA.
 */

import { addReflection } from '../api/index.ts';
import {
  type Clock,
  type Closable,
  type Logger,
  type Random,
  Scope,
  type Watch,
  WatchSource,
} from '../core/index.ts';
import { createRpcServer } from '../rpc/index.ts';
import { addSecretDiscovery, type SdsClient, sdsMessageBytesMax } from '../sds-server/index.ts';
import type { AgentError } from './agent-error.ts';
import { startAgentAdmin } from './admin/agent-admin.ts';
import type { AttestedSources } from './admin/agent-sources.ts';
import { createKnownCallers } from './admin/known-callers.ts';
import { createAgentSecretSource } from './agent-secret-source.ts';
import { formatAddress } from './ca-client.ts';
import { CaStandings } from './ca-standing.ts';
import type { AgentConfig } from './config.ts';
import { watchEndOfService } from './end-of-service.ts';
import type { NodeApi } from './node-api.ts';
import { nodeEvidenceOf } from './node-evidence.ts';
import { sweepRetiredKeys } from './key-memory.ts';
import { startNodeSession } from './node-session.ts';
import type { MemorySweep } from './protect-process.ts';
import { createPushedState, whyNotOurs } from './pushed-state.ts';
import { keepAgent, openAgentCache } from './sealed-cache/keep-agent.ts';
import type { SealedCacheStatus } from './sealed-cache/sealed-cache.ts';
import { type Survival, watchSurvival } from './survival.ts';
import { createHeldSecrets } from './secrets/held-secrets.ts';
import type { EntrySvids } from './svid/entry-svid.ts';
import { startSvidRotation } from './svid/svid-rotation.ts';
import { giveBackAtRest } from './rested-memory.ts';
import { followSecrets } from './secret-reports.ts';
import { startSync } from './sync.ts';
import { createTrustReports } from './trust-reports.ts';
import { createAttestedCallers } from './workload/attested-callers.ts';
import { createCallerIdentities } from './workload/caller-identities.ts';
import { createDerivedIdentities } from './workload/derived-identities.ts';
import type { AttestorStatus } from './workload/attestor-runs.ts';
import { createWorkloadAttestors } from './workload/workload-attestors.ts';
import { createJwtSvids } from './jwt/jwt-svids.ts';
import { addWorkloadApi } from './workload-api/workload-api.ts';

export interface AgentDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told to the CA, for operators to see. */
  readonly version?: string;
  /** Aborted to give up while the agent is still waiting for its CA. */
  readonly stopped?: AbortSignal;
  /** Gives back the memory of what nobody refers to any more, retired keys above all. */
  readonly sweepMemory?: MemorySweep;
}

export interface RunningAgent extends Closable {
  readonly socket: string;
  readonly adminSocket: string | undefined;
  /** The node's own SPIFFE ID. */
  readonly nodeId: string;
  /** How each workload attestor fares. */
  readonly attestors: Watch<readonly AttestorStatus[]>;
  /** The sealed cache, by which a restarted agent goes on without its CA. */
  readonly cache: Watch<SealedCacheStatus>;
  /** How long what is served lasts if the CA stays away. */
  readonly survival: Watch<Survival>;
  /**
   * Resolves when there is no more to do: at once if the CA has shut this node out for good (evicted, banned or
   * revoked); if it refuses it otherwise, what was issued is served first, until the last of it expires.
   */
  readonly refused: Promise<AgentError>;
}

/**
 * Starts to listen, attests the node and resolves once it is attested; while the CA is away it waits. With
 * what a former start left in the sealed cache it goes on at once.
 *
 * Rejects with an error that names the thing and the remedy: a refused token, a wrong pin, a socket in
 * use. Nothing is left running then.
 */
export async function startAgent(config: AgentConfig, deps: AgentDeps): Promise<RunningAgent> {
  const scope = new Scope();
  try {
    return await start(config, deps, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function start(config: AgentConfig, deps: AgentDeps, scope: Scope): Promise<RunningAgent> {
  const { clock, random, log } = deps;
  const { trustDomain } = config;
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

  // 3–5. The socket is served from the first moment: an early SDS client waits, a Workload API client is
  // told to come back.
  const attestors = createWorkloadAttestors(config.workloadAttestors, deps, scope);
  const callers = scope.add(createAttestedCallers({ attestors, state, clock, log }));
  const derived = scope.add(createDerivedIdentities({ state, clock, log }));
  const identities = createKnownCallers(createCallerIdentities({ callers, state, svids, derived }));
  const server = scope.add(createRpcServer(log, { messageBytesMax: sdsMessageBytesMax }));
  const caApi = new WatchSource<NodeApi | undefined>(undefined);
  const jwtSvids = scope.add(
    createJwtSvids({ api: () => caApi.current(), state: derived.state, clock, random, log }),
  );
  const secrets = scope.add(createHeldSecrets({ api: caApi, state, clock, random, log }));
  const profiles = config.workloadApi;
  // E-6: for tools that ask what there is.
  addReflection(server, ['SpiffeWorkloadAPI', 'envoy.service.secret.v3.SecretDiscoveryService']);
  addWorkloadApi(server, { source: identities, jwtSvids, profiles, clock, log });
  const sds = addSecretDiscovery(server, {
    source: createAgentSecretSource({ identities, held: secrets, state, trustDomain }),
    aliases: config.sds.aliases,
    observer: trust,
    clock,
    random,
    log,
  });
  // Whoever may connect is judged by attestation, not by the mode of a file.
  await server.listenUnix(config.socket, socketMode);

  const spiffeIdOf = (client: SdsClient): string => identities.spiffeIdOf(client.connection);
  const reports = scope.add(followSecrets({ clients: sds.clients, spiffeIdOf, clock }));

  // Operators are served from the first moment too: they may want to know why it does not get on.
  const standings = new CaStandings(clock);
  let attested: (() => AttestedSources) | undefined;
  const operators = {
    trustDomain,
    version,
    startedAtMs: clock.wallMs(),
    socket: config.socket,
    caAddress: config.ca.addresses.map(formatAddress).join(', '),
    clock,
    standing: standings.standing,
    state: derived.state,
    svids,
    attestors,
    attestorStatus: callers.attestors,
    callers: identities,
    sds,
    attested: () => attested?.(),
    cache: () => cache.status.current(),
  };
  if (config.adminSocket !== undefined) {
    scope.add(await startAgentAdmin(config.adminSocket, operators, { random, log }));
  }

  // 1. The node is attested, unless a former start left it attested.
  const node = await startNodeSession(
    config,
    { clock, random, log, version, evidence, state, restored, standings, signal },
    scope,
  );
  const { link } = node;
  caApi.set(link.api.current());
  scope.onClose(link.api.subscribe((api) => caApi.set(api)));
  void node.refused.then((error) => {
    standings.refused(error);
    return cache.forget();
  });
  scope.onClose(node.turnedAway.subscribe((error) => standings.turnedAway(error)));

  // 6 and 9. Keys and SVIDs, for every entry of the node and every identity that a workload here derives.
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
  const { refused, turnedAway } = node;
  const { over } = scope.add(watchEndOfService({ refused, turnedAway, svids, clock }));
  const { survival } = scope.add(watchSurvival({ svids, node: node.svid, clock }));
  const { sweepMemory } = deps;
  if (sweepMemory !== undefined) {
    scope.add(sweepRetiredKeys({ svids, node: node.svid, secrets, sweep: sweepMemory, clock }));
    scope.add(giveBackAtRest({ svids, moves: identities.moves, sweep: sweepMemory, clock }));
  }
  attested = () => ({
    node: node.svid.current(),
    refusals: rotation.refusals(),
    survival: survival.current(),
  });

  // 2. Entries and bundles, as the CA pushes them.
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
  return {
    socket: config.socket,
    adminSocket: config.adminSocket,
    nodeId: node.svid.current().id,
    attestors: callers.attestors,
    cache: cache.status,
    survival,
    refused: over,
    close: () => scope.close(),
  };
}

const socketMode = 0o777;
