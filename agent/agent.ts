/**
 * The agent, assembled: it joins the mesh, then serves identities to the processes of its machine.
 *
 * The numbers are those of a certificate's life: 1 attest the node, 2 learn the entries, 3–5 know the
 * caller and its entries, 6 make keys and requests, 9 check and publish. 7 and 8 happen in the CA.
 */

import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  Scope,
  WatchSource,
} from '../core/index.ts';
import { createRpcServer } from '../rpc/index.ts';
import { addSecretDiscovery } from '../sds-server/index.ts';
import type { BundleSet } from '../spiffe/index.ts';
import type { AgentError } from './agent-error.ts';
import { createAgentSecretSource } from './agent-secret-source.ts';
import { attestOnce, createNodeKey, type NodeAttestation, untilAttested } from './attest-node.ts';
import { bootstrapRoots } from './bootstrap-trust.ts';
import { openCaClient } from './ca-client.ts';
import { createCaLink } from './ca-link.ts';
import { type CaState, readCaState } from './ca-state.ts';
import type { AgentConfig } from './config.ts';
import type { NodeApi } from './node-api.ts';
import { nodeEvidenceOf } from './node-evidence.ts';
import { startNodeIdentity } from './node-identity.ts';
import type { NodeSvid } from './node-svid.ts';
import type { EntrySvids } from './svid/entry-svid.ts';
import { startSvidRotation } from './svid/svid-rotation.ts';
import { startSync } from './sync.ts';
import { createTrustReports } from './trust-reports.ts';
import { createAttestedCallers } from './workload/attested-callers.ts';
import { createCallerIdentities } from './workload/caller-identities.ts';
import { createUnixAttestor } from './workload/unix-attestor.ts';
import { addWorkloadApi } from './workload-api.ts';

export interface AgentDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told to the CA, for operators to see. */
  readonly version?: string;
  /** Aborted to give up while the agent is still waiting for its CA. */
  readonly stopped?: AbortSignal;
}

export interface RunningAgent extends Closable {
  readonly socket: string;
  /** The node's own SPIFFE ID. */
  readonly nodeId: string;
  /** Resolves if the CA will not have this node any more; what was issued is served until it expires. */
  readonly refused: Promise<AgentError>;
}

/**
 * Starts to listen, attests the node and resolves once it is attested; while the CA is away it waits.
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

  const state = new WatchSource<CaState | undefined>(undefined);
  const svids = new WatchSource<EntrySvids>(new Map());
  const trust = createTrustReports();

  // 3–5. The socket is served from the first moment: an early SDS client waits, a Workload API client is
  // told to come back.
  const callers = createAttestedCallers({ attestors: [createUnixAttestor({ log })], state, log });
  const identities = createCallerIdentities({ callers, state, svids });
  const server = scope.add(createRpcServer(log));
  addWorkloadApi(server, identities, log);
  addSecretDiscovery(server, {
    source: createAgentSecretSource(identities, trustDomain),
    observer: trust,
    clock,
    random,
    log,
  });
  // Whoever may connect is judged by attestation, not by the mode of a file.
  await server.listenUnix(config.socket, socketMode);

  // 1. The node is attested with a key that every retry uses again.
  const { address } = config.ca;
  const open = (svid: NodeSvid, bundles: BundleSet): NodeApi =>
    openCaClient({
      address,
      trustDomain,
      roots: bundles.get(trustDomain)?.x509Authorities ?? [],
      identity: svid,
      clock,
    });
  const nodeKey = createNodeKey();
  const attest = async (): Promise<NodeAttestation> => {
    const target = { address, trust: config.ca.trust, trustDomain };
    // A pin is for the first time; after a root rotation only the bundle knows the CA.
    const known = state.current()?.bundles.get(trustDomain)?.x509Authorities;
    const roots = known ?? (await bootstrapRoots(target, clock, signal));
    const api = openCaClient({ address, trustDomain, roots, identity: undefined, clock });
    try {
      return await attestOnce(
        { api, evidence, key: nodeKey, trustDomain },
        { clock, random, log, version },
      );
    } finally {
      await api.close();
    }
  };
  const attested = await untilAttested(
    attest,
    { clock, random, log, version },
    signal,
    evidence.remedy,
  );
  log.info('node attested', { spiffeId: attested.svid.id, notAfterMs: attested.svid.notAfterMs });

  const nodeSvid = new WatchSource(attested.svid);
  const link = scope.add(
    createCaLink({ svid: nodeSvid, state, firstBundles: attested.bundles, open, log }),
  );
  let refuse: (error: AgentError) => void = () => {};
  const refused = new Promise<AgentError>((resolve) => {
    refuse = resolve;
  });
  scope.add(
    startNodeIdentity({
      clock,
      random,
      log,
      version,
      api: link.api,
      state,
      svid: nodeSvid,
      bundles: () => state.current()?.bundles ?? attested.bundles,
      attestAgain: attest,
      onRefused: (error) => {
        log.error('the CA will not have this node any more', { reason: describeError(error) });
        refuse(error);
      },
    }),
  );

  // 6 and 9. Keys and SVIDs, for every entry of the node.
  const rotation = scope.add(startSvidRotation({ api: link.api, state, clock, random, log }));
  scope.onClose(rotation.svids.subscribe((value) => svids.set(value)));

  // 2. Entries and bundles, as the CA pushes them.
  scope.add(
    startSync({
      api: link.api,
      reconnect: () => link.reconnect(),
      trust,
      state,
      apply: (response) => {
        const next = readCaState(response, trustDomain, state.current() ?? attested, log);
        log.debug('state of the CA applied', {
          revision: Number(next.revision),
          entries: next.entries.length,
        });
        setSafely(state, next, log);
      },
      clock,
      random,
      log,
      version,
    }),
  );
  return {
    socket: config.socket,
    nodeId: attested.svid.id,
    refused,
    close: () => scope.close(),
  };
}

/** One reader's fault is logged; the state is applied for all the others, and acknowledged. */
function setSafely<T>(source: WatchSource<T>, value: T, log: Logger): void {
  try {
    source.set(value);
  } catch (error) {
    log.error('a reader of the CA state failed', { reason: describeError(error) });
  }
}

const socketMode = 0o777;
