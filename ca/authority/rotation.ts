/**
 * Rotation as pure functions of the authorities and the time: what may be done, what it leads to, and
 * what is due. Nothing here signs, stores or waits.
 */

import { formatDurationMs } from '../../core/index.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import type { ClockTrust } from './clock-trust.ts';
import {
  formatPropagation,
  hasArrived,
  type Propagation,
  type PushTimes,
  withArrivals,
} from './evidence.ts';
import type { RotationPolicy } from './rotation-policy.ts';
import {
  activeIssuing,
  activeRoot,
  authorityById,
  halfLifeMs,
  lastLeafNotAfterMs,
  trustedRoots,
  waitingRoot,
} from './slot.ts';

/** Puts a new root into the bundle. */
export function withPreparedRoot(set: AuthoritySet, root: Authority): AuthoritySet {
  return {
    authorities: [...set.authorities, root],
    bundleSequence: set.bundleSequence + 1n,
  };
}

/** Throws {@link AuthorityError} if another root waits already, or the bundle is full. */
export function checkPreparation(set: AuthoritySet): void {
  const roots = trustedRoots(set);
  const waiting = waitingRoot(set);
  if (waiting !== undefined) {
    throw new AuthorityError('authority_state', `root ${waiting.id} is ${waiting.state} already`, {
      remedy: 'activate or abort it first',
    });
  }
  if (roots.length < trustedRootsMax) return;
  throw new AuthorityError('roots_too_many', `the bundle holds ${roots.length} roots already`, {
    remedy: 'retire the draining ones first',
  });
}

/**
 * Throws {@link AuthorityError} unless `id` is a prepared root that everybody has taken up:
 * a certificate under a root that a peer does not know yet would be refused by that peer.
 */
export function checkActivation(
  set: AuthoritySet,
  id: string,
  propagation: Propagation,
  force: boolean,
  threshold = 1,
): Authority {
  const root = authorityById(set, id);
  if (waitingRoot(set)?.id !== id) {
    throw new AuthorityError(
      'authority_state',
      `${root.tier} authority ${id} is ${root.state}; only a prepared or published root can be activated`,
    );
  }
  // Judged anew even if it is published: whoever came since, or came back, must have it too.
  if (force || hasArrived(propagation, threshold)) return root;
  throw new AuthorityError(
    'authority_not_propagated',
    `root ${id} is ${formatPropagation(propagation, threshold)}`,
    {
      remedy: 'wait until they have it, evict nodes that are gone, or force it and strand the rest',
    },
  );
}

/** The evidence holds: enough of the fleet trusts the root. */
export function withPublishedRoot(set: AuthoritySet, id: string, nowMs: number): AuthoritySet {
  return withAuthority(set, id, { state: 'published', publishedAtMs: nowMs });
}

/** Throws {@link AuthorityError} unless `id` is a root that has signed nothing yet: then nobody needs it. */
export function checkAbort(set: AuthoritySet, id: string): Authority {
  const authority = authorityById(set, id);
  if (waitingRoot(set)?.id === id) return authority;
  throw new AuthorityError(
    'authority_state',
    `${authority.tier} authority ${id} is ${authority.state}; only a prepared or published root can be aborted`,
  );
}

/** Some fields of one authority changed. */
export function withAuthority(
  set: AuthoritySet,
  id: string,
  change: Partial<Authority>,
): AuthoritySet {
  const authorities = set.authorities.map((authority) =>
    authority.id === id ? { ...authority, ...change } : authority,
  );
  return { ...set, authorities };
}

/** The root signs from now on, through `issuing`; what signed before drains. */
export function withActivatedRoot(
  set: AuthoritySet,
  rootId: string,
  issuing: Authority,
  nowMs: number,
): AuthoritySet {
  const authorities = set.authorities.map((authority): Authority => {
    if (authority.id === rootId) {
      const publishedAtMs = authority.publishedAtMs ?? nowMs;
      return { ...authority, state: 'active', publishedAtMs, activatedAtMs: nowMs };
    }
    return authority.state === 'active' ? { ...authority, state: 'draining' } : authority;
  });
  return { ...set, authorities: [...authorities, issuing] };
}

/** A fresh issuing authority under the same root; the one before drains. */
export function withRenewedIssuing(set: AuthoritySet, issuing: Authority): AuthoritySet {
  const authorities = set.authorities.map(
    (authority): Authority =>
      authority.tier === 'issuing' && authority.state === 'active'
        ? { ...authority, state: 'draining' }
        : authority,
  );
  return { ...set, authorities: [...authorities, issuing] };
}

/** Throws {@link AuthorityError} while the authority signs, or while a leaf below it is alive. */
export function checkRetirement(
  set: AuthoritySet,
  id: string,
  nowMs: number,
  force: boolean,
): Authority {
  const authority = authorityById(set, id);
  if (authority.state === 'active' || authority.state === 'retired') {
    throw new AuthorityError(
      'authority_state',
      `${authority.tier} authority ${id} is ${authority.state}`,
      authority.state === 'active' ? { remedy: 'activate another one first' } : {},
    );
  }
  const endMs = lastLeafNotAfterMs(set, authority);
  if (force || endMs === undefined || endMs + 1000 <= nowMs) return authority;
  throw new AuthorityError(
    'authority_in_use',
    `the last certificate below ${authority.tier} authority ${id} ends at ` +
      `${new Date(endMs).toISOString()}, in ${formatDurationMs(endMs + 1000 - nowMs)}`,
    { remedy: 'retire it after that, or force it and break what still uses it' },
  );
}

/** Remembers that a leaf below an issuing authority may live until then. */
export function withLeafMark(set: AuthoritySet, id: string, notAfterMs: number): AuthoritySet {
  const authorities = set.authorities.map((authority) =>
    authority.id === id && (authority.lastLeafNotAfterMs ?? 0) !== notAfterMs
      ? { ...authority, lastLeafNotAfterMs: notAfterMs }
      : authority,
  );
  return { ...set, authorities };
}

/** The authority and everything below it leaves; a root leaves the bundle. */
export function withRetired(set: AuthoritySet, id: string, nowMs: number): AuthoritySet {
  const { tier } = authorityById(set, id);
  const endMs = lastLeafNotAfterMs(set, authorityById(set, id));
  const authorities = set.authorities.map((authority): Authority => {
    const below = authority.id === id || authority.parentId === id;
    if (!below || authority.state === 'retired') return authority;
    return {
      ...authority,
      state: 'retired',
      retiredAtMs: nowMs,
      ...(authority.id === id && endMs !== undefined ? { lastLeafNotAfterMs: endMs } : {}),
    };
  });
  return {
    authorities: keepFewRetired(authorities),
    bundleSequence: set.bundleSequence + (tier === 'root' ? 1n : 0n),
  };
}

/** What time and evidence make necessary. One step at a time: each is stored before the next is asked for. */
export type DueStep =
  | { readonly kind: 'begin_root'; readonly reason: string }
  | { readonly kind: 'prepare_root' }
  /** The operator gave another upstream root than the one that signs. */
  | { readonly kind: 'adopt_root' }
  | { readonly kind: 'note_arrivals'; readonly id: string }
  | { readonly kind: 'publish_root'; readonly id: string }
  | { readonly kind: 'activate_root'; readonly id: string }
  | { readonly kind: 'renew_issuing' }
  | { readonly kind: 'retire'; readonly id: string };

/** What decides about due steps beside the authorities and the time. */
export interface DueContext {
  readonly issuingMs: number;
  readonly policy: RotationPolicy;
  readonly propagationOf: (rootId: string) => Propagation;
  /** When it went out first; undefined until it has. */
  readonly pushTimesOf?: ((rootId: string) => PushTimes | undefined) | undefined;
  /** Whether the key above is at hand: an upstream's key is only as long as the operator gives it. */
  readonly canSign: (rootId: string) => boolean;
  readonly upstreamId?: string | undefined;
  /** Absent: the time is sure. */
  readonly clockTrust?: ClockTrust | undefined;
}

/**
 * While the time is in doubt everything waits, the evidence too: nodes leave the count when their certificates
 * end. What destroys a key or makes a root without evidence waits until the time is sure.
 */
export function dueStep(set: AuthoritySet, nowMs: number, due: DueContext): DueStep | undefined {
  const { clockTrust = 'sure' } = due;
  if (clockTrust === 'wrong') return undefined;
  if (clockTrust === 'doubtful') return dueInDoubt(set, nowMs, due);
  const step = dueByTime(set, nowMs, due);
  const isGrave = step?.kind === 'retire' || (step?.kind === 'begin_root' && !isFirst(set));
  return isGrave && clockTrust !== 'sure' ? undefined : step;
}

/**
 * With nothing that could sign, waiting would be an outage; and a fresh issuing authority takes itself back. If
 * the time returns, it has not begun, and another one replaces it.
 */
function dueInDoubt(set: AuthoritySet, nowMs: number, due: DueContext): DueStep | undefined {
  if (isFirst(set)) return dueByTime(set, nowMs, due);
  const root = activeRoot(set);
  if (root === undefined || root.certificate.notAfterMs < nowMs || !due.canSign(root.id)) {
    return undefined;
  }
  const issuing = activeIssuing(set);
  const signs = issuing !== undefined && issuing.certificate.notAfterMs >= nowMs;
  return signs && !isAhead(root, issuing, nowMs) ? undefined : { kind: 'renew_issuing' };
}

function isFirst({ authorities }: AuthoritySet): boolean {
  return authorities.length === 0;
}

/** Made while the clock was ahead, and of no use until then; under a root that is so too nothing can be done. */
function isAhead(root: Authority, issuing: Authority, nowMs: number): boolean {
  return issuing.certificate.notBeforeMs > nowMs && root.certificate.notBeforeMs <= nowMs;
}

function dueByTime(set: AuthoritySet, nowMs: number, due: DueContext): DueStep | undefined {
  const root = activeRoot(set);
  if (root === undefined) return { kind: 'begin_root', reason: 'there is none yet' };
  if (root.certificate.notAfterMs < nowMs) {
    // Nothing below an ended root is valid any more, so nobody is stranded by a new one.
    return { kind: 'begin_root', reason: `root ${root.id} has ended` };
  }
  const issuing = activeIssuing(set);
  if (issuing !== undefined && due.canSign(root.id) && isAhead(root, issuing, nowMs)) {
    return { kind: 'renew_issuing' };
  }
  const issuingEndMs = issuing?.certificate.notAfterMs ?? 0;
  if (!due.canSign(root.id) && issuingEndMs < nowMs) {
    return { kind: 'begin_root', reason: `the key of root ${root.id} is not here any more` };
  }
  return (
    dueRootStep(set, root, nowMs, due) ??
    (due.canSign(root.id) && renewalMs(set, root, due.issuingMs) <= nowMs
      ? { kind: 'renew_issuing' }
      : dueRetirement(set, root, nowMs, due))
  );
}

/** The steps of a root on its way in. */
function dueRootStep(
  set: AuthoritySet,
  root: Authority,
  nowMs: number,
  due: DueContext,
): DueStep | undefined {
  const waiting = waitingRoot(set);
  if (waiting === undefined) return dueBeginning(set, root, nowMs, due);
  const propagation = due.propagationOf(waiting.id);
  const arrived = hasArrived(propagation, due.policy.threshold);
  const isPushed = waiting.pushedAtMs === undefined && due.pushTimesOf?.(waiting.id) !== undefined;
  if (isPushed || withArrivals(waiting.arrivals ?? [], propagation, nowMs) !== undefined) {
    return { kind: 'note_arrivals', id: waiting.id };
  }
  if (!arrived) return undefined;
  if (waiting.state === 'prepared') return { kind: 'publish_root', id: waiting.id };
  // A rotation that an operator began waits for the operator.
  return waiting.isAutomatic === true ? { kind: 'activate_root', id: waiting.id } : undefined;
}

function dueBeginning(
  set: AuthoritySet,
  root: Authority,
  nowMs: number,
  due: DueContext,
): DueStep | undefined {
  if (due.upstreamId !== undefined) {
    return due.upstreamId === root.id ? undefined : { kind: 'adopt_root' };
  }
  const isDue = due.policy.automatic && halfLifeMs(root) <= nowMs;
  if (!isDue && due.canSign(root.id)) return undefined;
  // Behind several roots that nobody retires there is no room; an operator is needed.
  return trustedRoots(set).length < trustedRootsMax ? { kind: 'prepare_root' } : undefined;
}

function dueRetirement(
  set: AuthoritySet,
  root: Authority,
  nowMs: number,
  due: DueContext,
): DueStep | undefined {
  const drained = set.authorities.find((each) => drainedMs(set, each) <= nowMs);
  if (drained !== undefined) return { kind: 'retire', id: drained.id };
  if (root.isAutomatic !== true || !due.policy.automatic) return undefined;
  const old = trustedRoots(set).find(
    (each) => each.state === 'draining' && endOfLeavesMs(set, each) <= nowMs,
  );
  return old === undefined ? undefined : { kind: 'retire', id: old.id };
}

/** When {@link dueStep} may next have an answer for time alone. */
export function nextDueMs(set: AuthoritySet, issuingMs: number): number {
  const root = activeRoot(set);
  if (root === undefined) return Number.NEGATIVE_INFINITY;
  return Math.min(
    root.certificate.notAfterMs + 1000,
    renewalMs(set, root, issuingMs),
    ...set.authorities.map((each) => drainedMs(set, each)),
  );
}

/** When the active issuing authority is to be replaced; infinity if a new one would live no longer. */
function renewalMs(set: AuthoritySet, root: Authority, issuingMs: number): number {
  const issuing = activeIssuing(set);
  if (issuing === undefined || issuing.parentId !== root.id) return Number.NEGATIVE_INFINITY;
  const rootEndMs = root.certificate.notAfterMs;
  // Close to the root's end every issuing authority ends with it: renewing would be renewing for ever.
  if (issuing.certificate.notAfterMs >= rootEndMs) return Number.POSITIVE_INFINITY;
  // The second bound is for an authority made under another configuration: an SVID may need this much.
  return Math.min(halfLifeMs(issuing), issuing.certificate.notAfterMs - issuingMs / 2);
}

function drainedMs(set: AuthoritySet, authority: Authority): number {
  if (authority.tier !== 'issuing' || authority.state !== 'draining') {
    return Number.POSITIVE_INFINITY;
  }
  return endOfLeavesMs(set, authority);
}

// RFC 5280 §4.1.2.5: a certificate is valid through its notAfter, that second included.
function endOfLeavesMs(set: AuthoritySet, authority: Authority): number {
  return (lastLeafNotAfterMs(set, authority) ?? Number.NEGATIVE_INFINITY) + 1000;
}

/** Retired ones are kept to be looked at, and short lifetimes make many of them. */
function keepFewRetired(authorities: readonly Authority[]): readonly Authority[] {
  const retired = authorities.filter(({ state }) => state === 'retired');
  const forgotten = new Set(
    retired
      .toSorted((left, right) => (left.retiredAtMs ?? 0) - (right.retiredAtMs ?? 0))
      .slice(0, Math.max(0, retired.length - retiredMax)),
  );
  return authorities.filter((authority) => !forgotten.has(authority));
}

// A bundle travels to every workload; more roots than this means that nobody retires them.
const trustedRootsMax = 8;
const retiredMax = 32;
