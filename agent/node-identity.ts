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
  /** Attests again with the first key; the CA takes that for as long as the node has its place there. */
  readonly attestAgain: () => Promise<NodeAttestation>;
  /** Grows whenever the CA has shut this node out: then its SVID is of no use however long it lives. */
  readonly shutOuts: Watch<number>;
  /** What an operator does when the CA refuses what this node shows. */
  readonly remedy: string;
  /**
   * Why the node, whose SVID is of no use any more, is not attested again: an answer that will hardly change
   * by itself, but may. It is asked for all the same, in case somebody mends what is wrong.
   */
  readonly turnedAway: WatchSource<AgentError | undefined>;
  /** Told once, if the CA has shut this node out for good. */
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
  // Of the failures, the newest ones that are the CA's no.
  let refusals = 0;
  let hintMs = 0;
  // Until it is attested anew: the SVID that it has will not be heard again.
  let isOut = false;
  let seen = deps.shutOuts.current();
  while (!signal.aborted) {
    // Between failures the backoff is the wait; the SVID has been due since the first of them.
    if (failures === 0) await untilDue(deps, signal, seen);
    else await sleep(deps.clock, waitBeforeRetryMs(deps, { failures, refusals, hintMs }), signal);
    if (signal.aborted) return;
    const level = failures === 0 ? 'warn' : 'debug';
    if (deps.shutOuts.current() !== seen) isOut = true;
    seen = deps.shutOuts.current();
    const outcome: RenewOutcome | undefined = await unlessAborted(
      signal,
      renewOnce(deps, level, signal, isOut),
    );
    if (outcome?.kind === 'refused') return;
    isOut = outcome?.kind === 'failed' && (isOut || outcome.isOut);
    hintMs = outcome?.kind === 'failed' ? outcome.retryAfterMs : 0;
    // Still due after a renewal: the CA answers with another root than it names. Not in a tight loop.
    failures = outcome?.kind === 'renewed' && !isDue(deps) ? 0 : failures + 1;
    refusals = outcome?.kind === 'failed' && outcome.refusal !== undefined ? refusals + 1 : 0;
    if (outcome !== undefined) tellStanding(deps, outcome);
  }
}

type RenewOutcome =
  | { readonly kind: 'renewed' | 'refused' }
  | {
      readonly kind: 'failed';
      /** When a CA that was too busy told us to come again, else 0. */
      readonly retryAfterMs: number;
      readonly isOut: boolean;
      /** Why it is not attested again. */
      readonly refusal?: AgentError;
    };

function tellStanding({ turnedAway, log }: NodeIdentityDeps, outcome: RenewOutcome): void {
  const refusal = outcome.kind === 'failed' ? outcome.refusal : undefined;
  if (refusal === undefined && outcome.kind !== 'renewed') return;
  const before = turnedAway.current();
  if (before === undefined && refusal !== undefined) {
    log.error('the node is not attested again; what was issued is served until it ends', {
      reason: describeError(refusal),
    });
  }
  if (before !== refusal) turnedAway.set(refusal);
}

/** The backoff, above the CA's hint if it gave one, apart from the rest of the fleet, and well within the SVID's life. */
function waitBeforeRetryMs(
  { clock, random, svid }: NodeIdentityDeps,
  tries: { readonly failures: number; readonly refusals: number; readonly hintMs: number },
): number {
  const { failures, refusals, hintMs } = tries;
  const leftMs = svid.current().notAfterMs - clock.wallMs();
  const waitMs =
    refusals === 0
      ? backoffMs(renewBackoff, failures - 1, random)
      : backoffMs(turnedAwayBackoff, refusals - 1, random);
  const hintedMs = hintMs * (1 + random.fraction());
  return cappedWaitMs(Math.max(waitMs, hintedMs, smearMs(leftMs, random)), leftMs);
}

async function renewOnce(
  deps: NodeIdentityDeps,
  level: 'warn' | 'debug',
  signal: AbortSignal,
  isOut: boolean,
): Promise<RenewOutcome> {
  const { clock, log } = deps;
  const expired = clock.wallMs() >= deps.svid.current().notAfterMs;
  try {
    const svid =
      expired || isOut
        ? (await deps.attestAgain()).svid
        : await renewNodeSvid(deps.api.current(), deps.bundles(), deps);
    if (signal.aborted) return { kind: 'failed', retryAfterMs: 0, isOut };
    deps.svid.set(svid);
    log.info('node SVID renewed', { spiffeId: svid.id, notAfterMs: svid.notAfterMs });
    return { kind: 'renewed' };
  } catch (error) {
    if (signal.aborted) return { kind: 'failed', retryAfterMs: 0, isOut };
    log[level]('the node SVID could not be renewed', { reason: describeError(error), expired });
    // While the SVID lives a refusal may be of the moment, but for those that say that it is worth nothing.
    if (!(expired || isOut) || !isFinal(error)) {
      return { kind: 'failed', retryAfterMs: retryAfterOf(error), isOut: isShutOut(error) };
    }
    const why = isOut ? 'the CA has shut this node out' : 'the node SVID has expired';
    const refusal = new AgentError('node_refused', 'permission_denied', why, {
      cause: error,
      remedy: deps.remedy,
    });
    if (isForGood(error, isOut)) {
      deps.onRefused(refusal);
      return { kind: 'refused' };
    }
    return { kind: 'failed', retryAfterMs: retryAfterOf(error), isOut, refusal };
  }
}

/**
 * Whether an operator has taken the node's place: banned, or shut out and its token gone with it. Of a CA that
 * was put back from a backup, or whose attestor was set up wrongly, the answers are other ones.
 */
function isForGood(error: unknown, isOut: boolean): boolean {
  if (!(error instanceof CodedError)) return false;
  return error.code === 'node_banned' || (isOut && spentTokenCodes.has(error.code));
}

/** Whether the CA says that this SVID will never be heard again: evicted, banned or revoked. */
export function isShutOut(error: unknown): boolean {
  return error instanceof CodedError && shutOutCodes.has(error.code);
}

function retryAfterOf(error: unknown): number {
  return error instanceof CodedError ? (error.retryAfterMs ?? 0) : 0;
}

/** Resolves at the SVID's renewal time, or as soon as the CA issues under another root. */
async function untilDue(deps: NodeIdentityDeps, signal: AbortSignal, seen: number): Promise<void> {
  while (!signal.aborted && !isDue(deps) && deps.shutOuts.current() === seen) {
    const changed = new AbortController();
    const wake = (): void => changed.abort();
    const stops = [deps.state.subscribe(wake), deps.shutOuts.subscribe(wake)];
    signal.addEventListener('abort', wake, { once: true });
    const waitMs = Math.min(deps.svid.current().renewAtMs - deps.clock.wallMs(), recheckMs);
    await sleep(deps.clock, waitMs, changed.signal);
    signal.removeEventListener('abort', wake);
    for (const stop of stops) stop();
  }
}

function isDue(deps: NodeIdentityDeps): boolean {
  const svid = deps.svid.current();
  const active = deps.state.current()?.activeRootKeyId ?? '';
  const tainted = deps.state.current()?.taintedKeyIds ?? new Set<string>();
  if (standsUnderTainted(svid.chain, svid.rootKeyId, tainted)) return true;
  return deps.clock.wallMs() >= svid.renewAtMs || (active !== '' && active !== svid.rootKeyId);
}

const shutOutCodes: ReadonlySet<string> = new Set([
  'node_unknown',
  'node_svid_revoked',
  'node_banned',
]);
const spentTokenCodes: ReadonlySet<string> = new Set([
  'token_unknown',
  'token_used',
  'token_not_found',
]);
// Each refusal is a record in the CA's audit log.
const turnedAwayBackoff: BackoffPolicy = { baseMs: 1000, maxMs: 60_000 };
const renewBackoff: BackoffPolicy = { baseMs: 100, maxMs: 2000 };
// Wall time may jump; a minute is the most that a jump can delay a renewal.
const recheckMs = 60_000;
