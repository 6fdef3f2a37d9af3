/**
 * Node attestation: the join token and a key of this process for a node SVID and the bundle.
 *
 * The same token with the same key may be sent again, so a lost answer costs nothing, nor does an outage that
 * the node SVID does not outlive: the key is made once, before the first try, and every later try uses it.
 */

import { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import {
  type BackoffPolicy,
  backoffMs,
  type Clock,
  CodedError,
  describeError,
  type ErrorKind,
  type Logger,
  type Random,
  sleep,
} from '../core/index.ts';
import { createCertificateRequest, generateKeyPair, keySigner } from '../pki/index.ts';
import type { BundleSet, TrustDomain } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import { bundlesOf, type KnownBundles } from './ca-state.ts';
import type { NodeApi } from './node-api.ts';
import type { NodeEvidence } from './node-evidence.ts';
import { checkChain, type NodeSvid } from './node-svid.ts';
import { renewAtMs } from './renewal-time.ts';

export interface NodeAttestation extends KnownBundles {
  readonly svid: NodeSvid;
}

export interface AttestNodeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
}

export interface NodeKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function createNodeKey(): NodeKey {
  return generateKeyPair('ec-p256');
}

/** One try. Rejects with RpcError from the CA, or AgentError if the answer is not sound. */
export async function attestOnce(
  p: {
    readonly api: NodeApi;
    readonly evidence: NodeEvidence;
    readonly key: NodeKey;
    readonly trustDomain: TrustDomain;
  },
  deps: AttestNodeDeps,
): Promise<NodeAttestation> {
  const csr = await createCertificateRequest(keySigner(p.key.privateKey));
  const answer = await p.api.attest({
    attestor: p.evidence.attestor,
    evidence: Buffer.from(await p.evidence.create(p.api, csr)),
    csr: Buffer.from(csr),
    agentVersion: deps.version,
  });
  const bundleText = new Uint8Array(answer.bundle);
  const bundles = bundlesOf(bundleText, p.trustDomain);
  const svid = nodeSvidOf(answer.chain, p.key, bundles, deps);
  return { svid, bundles, bundleText };
}

/** A new node SVID over a new key, asked for with the present one. */
export async function renewNodeSvid(
  api: NodeApi,
  bundles: BundleSet,
  deps: AttestNodeDeps,
): Promise<NodeSvid> {
  const key = createNodeKey();
  const csr = await createCertificateRequest(keySigner(key.privateKey));
  const answer = await api.renew({ csr: Buffer.from(csr) });
  return nodeSvidOf(answer.chain, key, bundles, deps);
}

/**
 * Tries until it succeeds, the CA refuses, or `signal` is aborted. A refusal becomes one
 * {@link AgentError} that names the CA's reason.
 */
export async function untilAttested(
  attempt: () => Promise<NodeAttestation>,
  deps: AttestNodeDeps,
  signal: AbortSignal,
  remedy: string,
): Promise<NodeAttestation> {
  for (let tries = 0; ; tries += 1) {
    if (signal.aborted) {
      throw new AgentError('start_aborted', 'aborted', 'stopped before the node was attested');
    }
    try {
      return await attempt();
    } catch (error) {
      if (isFinal(error)) throw refusal(error, remedy);
      const hintMs = error instanceof CodedError ? (error.retryAfterMs ?? 0) : 0;
      const hintedMs = hintMs * (1 + deps.random.fraction());
      const waitMs = Math.max(hintedMs, backoffMs(attestBackoff, tries, deps.random));
      deps.log.warn('the node is not attested yet', {
        reason: describeError(error),
        retryInMs: Math.round(waitMs),
      });
      await sleep(deps.clock, waitMs, signal);
    }
  }
}

/** True for an answer that will not change by asking again. */
export function isFinal(error: unknown): boolean {
  if (!(error instanceof CodedError)) return true;
  return finalKinds.has(error.kind) && !momentaryCodes.has(error.code);
}

function refusal(error: unknown, remedy: string): unknown {
  // Our own errors (a wrong pin, an unreadable bundle file) already say what to do.
  if (!(error instanceof CodedError) || error.name !== 'RpcError') return error;
  return new AgentError('node_refused', 'permission_denied', 'the CA refused this node', {
    cause: error,
    remedy,
  });
}

function nodeSvidOf(
  certificates: readonly Uint8Array[],
  key: NodeKey,
  bundles: BundleSet,
  { clock, random }: AttestNodeDeps,
): NodeSvid {
  const atMs = clock.wallMs();
  const checked = checkChain({ certificates, publicKey: key.publicKey, bundles, atMs });
  return {
    ...checked,
    privateKey: key.privateKey,
    renewAtMs: renewAtMs(atMs, checked.notAfterMs, random),
  };
}

const finalKinds: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  'invalid_argument',
  'unauthenticated',
  'permission_denied',
  'not_found',
  'already_exists',
  'failed_precondition',
  'unimplemented',
]);

// A nonce is of one minute and one process of the CA, and each try asks for its own.
const momentaryCodes: ReadonlySet<string> = new Set(['nonce_expired', 'nonce_unknown']);

// Quick at first, since a CA that restarts is back in seconds; slow enough for a fleet that waits.
const attestBackoff: BackoffPolicy = { baseMs: 100, maxMs: 2000 };
