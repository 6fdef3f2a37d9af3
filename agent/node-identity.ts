/** Keeps the node SVID fresh: renews at half life, at once under a new root, and joins again as a last resort. */

import {
  type BackoffPolicy,
  backoffMs,
  type Closable,
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
  while (!signal.aborted) {
    // Between failures the backoff is the wait; the SVID has been due since the first of them.
    if (failures === 0) await untilDue(deps, signal);
    else await sleep(deps.clock, backoffMs(renewBackoff, failures - 1, deps.random), signal);
    if (signal.aborted) return;
    const level = failures === 0 ? 'warn' : 'debug';
    const outcome = await unlessAborted(signal, renewOnce(deps, level, signal));
    if (outcome === 'refused') return;
    // Still due after a renewal: the CA answers with another root than it names. Not in a tight loop.
    failures = outcome === 'renewed' && !isDue(deps) ? 0 : failures + 1;
  }
}

async function renewOnce(
  deps: NodeIdentityDeps,
  level: 'warn' | 'debug',
  signal: AbortSignal,
): Promise<'renewed' | 'failed' | 'refused'> {
  const { clock, log } = deps;
  const expired = clock.wallMs() >= deps.svid.current().notAfterMs;
  try {
    const svid = expired
      ? (await deps.attestAgain()).svid
      : await renewNodeSvid(deps.api.current(), deps.bundles(), deps);
    if (signal.aborted) return 'failed';
    deps.svid.set(svid);
    log.info('node SVID renewed', { spiffeId: svid.id, notAfterMs: svid.notAfterMs });
    return 'renewed';
  } catch (error) {
    if (signal.aborted) return 'failed';
    log[level]('the node SVID could not be renewed', { reason: describeError(error), expired });
    // While the SVID lives the refusal may be of the moment (a CA that has just restarted).
    if (!expired || !isFinal(error)) return 'failed';
    deps.onRefused(
      new AgentError('node_refused', 'permission_denied', 'the node SVID has expired', {
        cause: error,
        remedy: 'restart the agent with a new join token: signet token create',
      }),
    );
    return 'refused';
  }
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
  return deps.clock.wallMs() >= svid.renewAtMs || (active !== '' && active !== svid.rootKeyId);
}

const renewBackoff: BackoffPolicy = { baseMs: 100, maxMs: 2000 };
// Wall time may jump; a minute is the most that a jump can delay a renewal.
const recheckMs = 60_000;
