/**
 * The node's side of the agent: attested, or gone on with as a former start left it; its SVID kept fresh; and
 * the connection to the CA that stands on it.
 */

import type { Clock, Logger, Random, Scope, Watch } from '../core/index.ts';
import { describeError, WatchSource } from '../core/index.ts';
import type { BundleSet } from '../spiffe/index.ts';
import type { AgentError } from './agent-error.ts';
import {
  attestOnce,
  createNodeKey,
  type NodeAttestation,
  type NodeKey,
  untilAttested,
} from './attest-node.ts';
import { bootstrapRoots } from './bootstrap-trust.ts';
import { createCaAddresses } from './ca-addresses.ts';
import { openCaClient } from './ca-client.ts';
import { type CaLink, createCaLink } from './ca-link.ts';
import type { CaStandings } from './ca-standing.ts';
import type { CaState, KnownBundles } from './ca-state.ts';
import type { AgentConfig } from './config.ts';
import type { NodeApi } from './node-api.ts';
import type { NodeEvidence } from './node-evidence.ts';
import { isShutOut, startNodeIdentity } from './node-identity.ts';
import type { NodeSvid } from './node-svid.ts';
import type { AgentSnapshot } from './sealed-cache/agent-snapshot.ts';

export interface NodeSession {
  readonly svid: Watch<NodeSvid>;
  readonly link: CaLink;
  /** The bundles from attestation, until the first push. */
  readonly firstBundles: KnownBundles;
  /** The key that the node was first attested with. */
  readonly attestKey: NodeKey;
  /** Resolves if the CA has shut this node out for good. */
  readonly refused: Promise<AgentError>;
  /** Why the node is not attested again, as long as that is so: see `node-identity.ts`. */
  readonly turnedAway: Watch<AgentError | undefined>;
  /** Aborted then: nothing more is asked of the CA. */
  readonly ended: AbortSignal;
  /** To be told of every stream of the CA that broke. */
  onBroken(error: unknown): void;
}

export interface NodeSessionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
  readonly evidence: NodeEvidence;
  readonly state: Watch<CaState | undefined>;
  /** What a former start of this agent left: then the CA is not waited for. */
  readonly restored: AgentSnapshot | undefined;
  readonly standings: Pick<CaStandings, 'joining'>;
  readonly signal: AbortSignal;
}

/** Resolves once the node is attested. Rejects with an error that names the thing and the remedy. */
export async function startNodeSession(
  config: Pick<AgentConfig, 'ca' | 'trustDomain'>,
  deps: NodeSessionDeps,
  scope: Scope,
): Promise<NodeSession> {
  const { clock, random, log, evidence, state, restored, signal } = deps;
  const { trustDomain } = config;
  const addresses = createCaAddresses(config.ca.addresses, random.fraction());
  const open = (svid: NodeSvid, bundles: BundleSet): NodeApi =>
    openCaClient({
      address: addresses.current(),
      trustDomain,
      roots: bundles.get(trustDomain)?.x509Authorities ?? [],
      identity: svid,
      clock,
    });
  // 1. The node is attested with a key that every retry uses again.
  const attestKey = restored?.attestKey ?? createNodeKey();
  const attest = async (): Promise<NodeAttestation> => {
    const address = addresses.current();
    const target = { address, trust: config.ca.trust, trustDomain };
    try {
      // A pin is for the first time; after a root rotation only the bundle knows the CA.
      const known = state.current()?.bundles ?? restored?.bundles;
      const roots =
        known?.get(trustDomain)?.x509Authorities ?? (await bootstrapRoots(target, clock, signal));
      const api = openCaClient({ address, trustDomain, roots, identity: undefined, clock });
      try {
        return await attestOnce({ api, evidence, key: attestKey, trustDomain }, deps);
      } finally {
        await api.close();
      }
    } catch (error) {
      addresses.next();
      throw error;
    }
  };
  const first =
    restored === undefined
      ? await untilAttested(() => deps.standings.joining(attest()), deps, signal, evidence.remedy)
      : { ...restored, svid: restored.node };
  log.info(restored === undefined ? 'node attested' : 'node restored', {
    spiffeId: first.svid.id,
    notAfterMs: first.svid.notAfterMs,
  });

  const svid = new WatchSource(first.svid);
  const link = scope.add(
    createCaLink({
      svid,
      state,
      firstBundles: first.bundles,
      open,
      nextAddress: () => addresses.next(),
      log,
    }),
  );
  const shutOuts = new WatchSource(0);
  const turnedAway = new WatchSource<AgentError | undefined>(undefined);
  const ended = new AbortController();
  let refuse: (error: AgentError) => void = () => {};
  const refused = new Promise<AgentError>((resolve) => {
    refuse = resolve;
  });
  scope.add(
    startNodeIdentity({
      ...deps,
      api: link.api,
      svid,
      bundles: () => state.current()?.bundles ?? first.bundles,
      attestAgain: attest,
      shutOuts,
      turnedAway,
      remedy: evidence.remedy,
      onRefused: (error) => {
        // It is over: nothing more is asked of the CA, and nobody goes on trying.
        ended.abort();
        log.error('the CA will not have this node any more', { reason: describeError(error) });
        refuse(error);
      },
    }),
  );
  return {
    svid,
    link,
    firstBundles: first,
    attestKey,
    refused,
    turnedAway,
    ended: ended.signal,
    onBroken(error) {
      if (isShutOut(error)) shutOuts.set(shutOuts.current() + 1);
    },
  };
}
