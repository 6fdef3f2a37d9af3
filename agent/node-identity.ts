/** Keeps the node SVID fresh: renews at half life, at once under a new root, and joins again as a last resort. */

import {
  type BackoffPolicy,
  backoffMs,
  type Closable,
  CodedError,
  describeError,
  sleep,
  type Watch,
  WatchSource,
} from '../core/index.ts';
import type { BundleSet } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import {
  type AttestNodeDeps,
  isFinal,
  type NodeAttestation,
  renewNodeSvid,
} from './attest-node.ts';
import type { CaState } from './ca-state.ts';
import type { NodeApi } from './node-api.ts';
import type { NodeSvid } from './node-svid.ts';
import { cappedWaitMs, smearMs } from './renewal-time.ts';
import { standsUnderTainted } from './tainted-chain.ts';
import { unlessAborted } from './unless-aborted.ts';

export interface NodeIdentityDeps extends AttestNodeDeps {
  readonly api: Watch<NodeApi>;
  readonly state: Watch<CaState | undefined>;
  /** Where each new SVID is published. */
  readonly svid: WatchSource<NodeSvid>;
  /** The bundles to check an answer against. */
  readonly bundles: () => BundleSet;
  /** Joins again with the first token and key; the CA takes that for a while after the first join. */
  readonly attestAgain: () => Promise<NodeAttestation>;
  /** Told once, if the CA will not have this node any more. */
  readonly onRefused: (error: AgentError) => void;
}

export function startNodeIdentity(deps: NodeIdentityDeps): Closable {
  const ended = new AbortController();
  const running = renewForEver(deps, ended.signal);
  return {
    async close() {
      ended.abort();
      await running;
    },
  };
}

async function renewForEver(deps: NodeIdentityDeps, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let hintMs = 0;
  while (!signal.aborted) {
    // Between failures the backoff is the wait; the SVID has been due since the first of them.
    if (failures === 0) await untilDue(deps, signal);
    else await sleep(deps.clock, waitBeforeRetryMs(deps, failures, hintMs), signal);
    if (signal.aborted) return;
    const level = failures === 0 ? 'warn' : 'debug';
    const outcome = await unlessAborted(signal, renewOnce(deps, level, signal));
    if (outcome?.kind === 'refused') return;
    hintMs = outcome?.kind === 'failed' ? outcome.retryAfterMs : 0;
    // Still due after a renewal: the CA answers with another root than it names. Not in a tight loop.
    failures = outcome?.kind === 'renewed' && !isDue(deps) ? 0 : failures + 1;
  }
}

type RenewOutcome =
  | { readonly kind: 'renewed' | 'refused' }
  /** `retryAfterMs`: when a CA that was too busy told us to come again, else 0. */
  | { readonly kind: 'failed'; readonly retryAfterMs: number };

/** The backoff, above the CA's hint if it gave one, apart from the rest of the fleet, and well within the SVID's life. */
function waitBeforeRetryMs(deps: NodeIdentityDeps, failures: number, hintMs: number): number {
  const { clock, random, svid } = deps;
  const leftMs = svid.current().notAfterMs - clock.wallMs();
  const waitMs = backoffMs(renewBackoff, failures - 1, random);
  const hintedMs = hintMs * (1 + random.fraction());
  return cappedWaitMs(Math.max(waitMs, hintedMs, smearMs(leftMs, random)), leftMs);
}

async function renewOnce(
  deps: NodeIdentityDeps,
  level: 'warn' | 'debug',
  signal: AbortSignal,
): Promise<RenewOutcome> {
  const { clock, log } = deps;
  const expired = clock.wallMs() >= deps.svid.current().notAfterMs;
  try {
    const svid = expired
      ? (await deps.attestAgain()).svid
      : await renewNodeSvid(deps.api.current(), deps.bundles(), deps);
    if (signal.aborted) return { kind: 'failed', retryAfterMs: 0 };
    deps.svid.set(svid);
    log.info('node SVID renewed', { spiffeId: svid.id, notAfterMs: svid.notAfterMs });
    return { kind: 'renewed' };
  } catch (error) {
    if (signal.aborted) return { kind: 'failed', retryAfterMs: 0 };
    log[level]('the node SVID could not be renewed', { reason: describeError(error), expired });
    // While the SVID lives the refusal may be of the moment (a CA that has just restarted).
    if (!expired || !isFinal(error)) {
      return { kind: 'failed', retryAfterMs: retryAfterOf(error) };
    }
    deps.onRefused(
      new AgentError('node_refused', 'permission_denied', 'the node SVID has expired', {
        cause: error,
        remedy: 'restart the agent with a new join token: signet token create',
      }),
    );
    return { kind: 'refused' };
  }
}

function retryAfterOf(error: unknown): number {
  return error instanceof CodedError ? (error.retryAfterMs ?? 0) : 0;
}

/** Resolves at the SVID's renewal time, or as soon as the CA issues under another root. */
async function untilDue(deps: NodeIdentityDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !isDue(deps)) {
    const changed = new AbortController();
    const wake = (): void => changed.abort();
    const unsubscribe = deps.state.subscribe(wake);
    signal.addEventListener('abort', wake, { once: true });
    const waitMs = Math.min(deps.svid.current().renewAtMs - deps.clock.wallMs(), recheckMs);
    await sleep(deps.clock, waitMs, changed.signal);
    signal.removeEventListener('abort', wake);
    unsubscribe();
  }
}

function isDue(deps: NodeIdentityDeps): boolean {
  const svid = deps.svid.current();
  const active = deps.state.current()?.activeRootKeyId ?? '';
  const tainted = deps.state.current()?.taintedKeyIds ?? new Set<string>();
  if (standsUnderTainted(svid.chain, svid.rootKeyId, tainted)) return true;
  return deps.clock.wallMs() >= svid.renewAtMs || (active !== '' && active !== svid.rootKeyId);
}

const renewBackoff: BackoffPolicy = { baseMs: 100, maxMs: 2000 };
// Wall time may jump; a minute is the most that a jump can delay a renewal.
const recheckMs = 60_000;
