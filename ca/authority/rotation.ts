/**
 * Rotation as pure functions of the authorities and the time: what may be done, what it leads to, and
 * what is due. Nothing here signs, stores or waits.
 */

import { formatDurationMs } from '../../core/index.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import {
  activeIssuing,
  activeRoot,
  authorityById,
  halfLifeMs,
  lastLeafNotAfterMs,
  trustedRoots,
} from './slot.ts';

/** How far the bundle with one root has got, by what nodes and their SDS clients acknowledged. */
export interface Propagation {
  readonly nodes: number;
  readonly nodesApplied: number;
  readonly subscribers: number;
  readonly acknowledged: number;
}

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
  const waiting = roots.find(({ state }) => state === 'prepared');
  if (waiting !== undefined) {
    throw new AuthorityError('authority_state', `root ${waiting.id} is prepared already`, {
      remedy: 'activate or retire it first',
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
): Authority {
  const root = authorityById(set, id);
  if (root.tier !== 'root' || root.state !== 'prepared') {
    throw new AuthorityError(
      'authority_state',
      `${root.tier} authority ${id} is ${root.state}; only a prepared root can be activated`,
    );
  }
  const { nodes, nodesApplied, subscribers, acknowledged } = propagation;
  if (force || (nodesApplied >= nodes && acknowledged >= subscribers)) return root;
  throw new AuthorityError(
    'authority_not_propagated',
    `root ${id} is applied by ${nodesApplied} of ${nodes} nodes and acknowledged by ` +
      `${acknowledged} of ${subscribers} SDS subscribers`,
    { remedy: 'wait until the counts are equal, or force it and strand the rest' },
  );
}

/** The root signs from now on, through `issuing`; what signed before drains. */
export function withActivatedRoot(
  set: AuthoritySet,
  rootId: string,
  issuing: Authority,
  nowMs: number,
): AuthoritySet {
  const authorities = set.authorities.map((authority): Authority => {
    if (authority.id === rootId) return { ...authority, state: 'active', activatedAtMs: nowMs };
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
  // RFC 5280 §4.1.2.5: a certificate is valid through its notAfter, that second included.
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

/** What time alone makes necessary. One step at a time: each is stored before the next is asked for. */
export type DueStep =
  | { readonly kind: 'begin_root'; readonly reason: string }
  | { readonly kind: 'renew_issuing' }
  | { readonly kind: 'retire_issuing'; readonly id: string };

export function dueStep(set: AuthoritySet, nowMs: number, issuingMs: number): DueStep | undefined {
  const root = activeRoot(set);
  if (root === undefined) return { kind: 'begin_root', reason: 'there is none yet' };
  if (root.certificate.notAfterMs < nowMs) {
    // Nothing below an ended root is valid any more, so nobody is stranded by a new one.
    return { kind: 'begin_root', reason: `root ${root.id} has ended` };
  }
  if (renewalMs(set, root, issuingMs) <= nowMs) return { kind: 'renew_issuing' };
  const drained = set.authorities.find((each) => drainedMs(set, each) <= nowMs);
  return drained === undefined ? undefined : { kind: 'retire_issuing', id: drained.id };
}

/** When {@link dueStep} may next have an answer. */
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
