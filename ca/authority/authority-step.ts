/**
 * The steps of an authority's life. Each judges first, then makes what is needed, then records it in the
 * audit log, and answers with the set to be stored: nothing has happened until that is durable. So a kill
 * can leave a record of what was never done, but never a deed without a record.
 */

import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor, AuditedEvidence } from '../audit/event.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { auditedAuthority, auditedIssuing } from './authority-audit.ts';
import { AuthorityError } from './authority-error.ts';
import { auditedEvidence, type Propagation, type PushTimes, withArrivals } from './evidence.ts';
import type { Lifetimes } from './lifetimes.ts';
import {
  type IssuingParent,
  type MintedAuthority,
  mintIssuing,
  type MintOptions,
  mintRoot,
} from './mint-authority.ts';
import {
  checkActivation,
  checkPreparation,
  checkRetirement,
  withActivatedRoot,
  withAuthority,
  withPreparedRoot,
  withPublishedRoot,
  withRenewedIssuing,
  withRetired,
} from './rotation.ts';
import { activeRoot, authorityById, lastLeafNotAfterMs, waitingRoot } from './slot.ts';
import { type Upstream, upstreamAuthority } from './upstream.ts';

export interface StepDeps {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly lifetimes: Lifetimes;
  /** A serial number that was never given before. */
  readonly nextSerial: () => Promise<Uint8Array>;
  /** The operator's own root, if issuing authorities stand under one. */
  readonly upstream?: Upstream | undefined;
}

/** Where a step begins. */
export interface StepState {
  readonly set: AuthoritySet;
  /** Throws {@link AuthorityError}. */
  readonly privateKey: (id: string) => KeyObject;
}

/** What is to be stored, and which authority the step was about. */
export interface Change {
  readonly next: AuthoritySet;
  readonly minted: readonly MintedAuthority[];
  readonly id: string;
}

export type Step = (deps: StepDeps, state: StepState) => Promise<Change>;

/** A new root, in the bundle at once. */
export function prepareStep(actor: Actor): Step {
  return async (deps, { set }) => {
    checkPreparation(set);
    if (deps.upstream !== undefined) {
      throw new AuthorityError(
        'authority_upstream',
        `the root ${deps.upstream.rootId} is the operator's own (upstream); it is not ours to rotate`,
        { remedy: 'give another certificate and key in upstream, and restart the CA' },
      );
    }
    const root = await mintRoot(await mintOptions(deps));
    const { authority } = root;
    await recordAuthority(deps, actor, 'authority.prepared', authority);
    return { next: withPreparedRoot(set, authority), minted: [root], id: authority.id };
  };
}

/** The CA begins a rotation by itself, and goes on with it by itself. */
export const prepareAutomaticallyStep: Step = async (deps, state) => {
  const change = await prepareStep(systemActor)(deps, state);
  return { ...change, next: withAuthority(change.next, change.id, { isAutomatic: true }) };
};

/** Another upstream root comes into the bundle; what it is to sign waits for the evidence. */
export const adoptStep: Step = async (deps, { set }) => {
  if (deps.upstream === undefined) throw new AuthorityError('authority_upstream', 'no upstream');
  checkPreparation(set);
  const root = upstreamAuthority(deps.upstream, deps.clock.wallMs());
  await recordAuthority(deps, systemActor, 'authority.prepared', root);
  return { next: withPreparedRoot(set, root), minted: [], id: root.id };
};

/** The shares of the fleet that have it by now. Measured for the next plan, no deed: it is not audited. */
export function noteArrivalsStep(id: string, propagation: Propagation, push?: PushTimes): Step {
  return async ({ clock }, { set }) => {
    const { arrivals = [], pushedAtMs = push?.firstMs } = authorityById(set, id);
    const atMs = push?.lastChangeMs ?? clock.wallMs();
    const reached = withArrivals(arrivals, propagation, atMs) ?? arrivals;
    const pushed = pushedAtMs === undefined ? {} : { pushedAtMs };
    return { next: withAuthority(set, id, { arrivals: reached, ...pushed }), minted: [], id };
  };
}

export function publishStep(id: string, propagation: Propagation, threshold: number): Step {
  return async (deps, { set }) => {
    await recordAuthority(deps, systemActor, 'authority.published', authorityById(set, id), {
      evidence: auditedEvidence(propagation, threshold),
    });
    return { next: withPublishedRoot(set, id, deps.clock.wallMs()), minted: [], id };
  };
}

/**
 * The waiting root signs from now on, through an issuing authority of its own. Without `propagation` its
 * publication is all the evidence that is asked for.
 */
export function activateStep(
  actor: Actor,
  id: string,
  propagation: ((rootId: string) => Propagation) | undefined,
  force: boolean,
  threshold = 1,
): Step {
  return async (deps, { set, privateKey }) => {
    const counts = propagation?.(id);
    const root = checkActivation(set, id, counts ?? nobodyAsked, force, threshold);
    const issuing = await mintIssuing(await mintOptions(deps), parentOf(deps, root, privateKey));
    await recordAuthority(deps, actor, 'authority.activated', root, {
      force,
      ...(counts === undefined ? {} : { evidence: auditedEvidence(counts, threshold) }),
    });
    await recordIssuing(deps, actor, issuing.authority, root);
    const next = withActivatedRoot(set, id, issuing.authority, deps.clock.wallMs());
    return { next, minted: [issuing], id };
  };
}

/** It leaves the bundle; storing the change destroys its key. */
export function retireStep(actor: Actor, id: string, force: boolean): Step {
  return async (deps, { set }) => {
    const nowMs = deps.clock.wallMs();
    const authority = checkRetirement(set, id, nowMs, force);
    const endMs = lastLeafNotAfterMs(set, authority);
    await recordAuthority(deps, actor, 'authority.retired', authority, {
      force,
      ...(endMs === undefined ? {} : { lastLeafNotAfter: new Date(endMs).toISOString() }),
    });
    return { next: withRetired(set, id, nowMs), minted: [], id };
  };
}

/** There is no root that signs: the upstream's, the one that waits, or else a new one, begins at once. */
export const beginStep: Step = async (deps, { set, privateKey }) => {
  const { upstream } = deps;
  const waiting = waitingRoot(set);
  const isNew = upstream === undefined ? waiting === undefined : waiting?.id !== upstream.rootId;
  const minted = isNew && upstream === undefined ? [await mintRoot(await mintOptions(deps))] : [];
  const root =
    minted[0]?.authority ??
    (upstream === undefined ? waiting : upstreamAuthority(upstream, deps.clock.wallMs()));
  if (root === undefined || root.id === activeRoot(set)?.id) {
    throw new AuthorityError('authority_ended', 'the root in upstream has ended', {
      remedy: 'give one that is valid',
    });
  }
  const made = minted[0]?.privateKey;
  const parent =
    made === undefined
      ? parentOf(deps, root, privateKey)
      : { root, chain: [root.certificate], privateKey: made };
  const issuing = await mintIssuing(await mintOptions(deps), parent);
  if (isNew) await recordAuthority(deps, systemActor, 'authority.prepared', root);
  await recordAuthority(deps, systemActor, 'authority.activated', root);
  await recordIssuing(deps, systemActor, issuing.authority, root);
  const prepared = isNew ? withPreparedRoot(set, root) : set;
  return {
    next: withActivatedRoot(prepared, root.id, issuing.authority, deps.clock.wallMs()),
    minted: [...minted, issuing],
    id: root.id,
  };
};

/** The active root signs another issuing authority. */
export function renewStep(actor: Actor): Step {
  return async (deps, { set, privateKey }) => {
    const root = activeRoot(set);
    if (root === undefined) throw new AuthorityError('authority_ended', 'no root is active');
    const issuing = await mintIssuing(await mintOptions(deps), parentOf(deps, root, privateKey));
    await recordIssuing(deps, actor, issuing.authority, root);
    const { id } = issuing.authority;
    return { next: withRenewedIssuing(set, issuing.authority), minted: [issuing], id };
  };
}

export async function recordAuthority(
  { audit }: StepDeps,
  actor: Actor,
  type: AuthorityEventType,
  authority: Authority,
  { force = false, ...judgedBy }: StepGrounds = {},
): Promise<void> {
  const forced = force ? { forced: true } : {};
  await audit.append({
    actor,
    type,
    authority: auditedAuthority(authority),
    ...forced,
    ...judgedBy,
  });
}

/** What a step was judged by, as the record of it says. */
interface StepGrounds {
  readonly force?: boolean;
  readonly evidence?: AuditedEvidence;
  readonly lastLeafNotAfter?: string;
}

type AuthorityEventType =
  | 'authority.prepared'
  | 'authority.published'
  | 'authority.activated'
  | 'authority.retired'
  | 'authority.aborted'
  | 'authority.tainted'
  | 'authority.revoked';

/** A root as what signs below it: itself, or an upstream's chain that leads to it. */
function parentOf(
  { upstream }: StepDeps,
  root: Authority,
  privateKey: (id: string) => KeyObject,
): IssuingParent {
  return upstream?.rootId === root.id
    ? { root, chain: upstream.chain, privateKey: upstream.privateKey }
    : { root, chain: [root.certificate], privateKey: privateKey(root.id) };
}

async function mintOptions(deps: StepDeps): Promise<MintOptions> {
  const { trustDomain, lifetimes, clock, nextSerial } = deps;
  return { trustDomain, lifetimes, nowMs: clock.wallMs(), serial: await nextSerial() };
}

async function recordIssuing(
  { audit, trustDomain }: StepDeps,
  actor: Actor,
  issuing: Authority,
  root: Authority,
): Promise<void> {
  const certificate = auditedIssuing(issuing, root, trustDomain);
  const keyId = issuing.id;
  await audit.append({ actor, type: 'authority.issuing_rotated', certificate, keyId });
}

const nobodyAsked: Propagation = { nodes: 0, nodesApplied: 0, subscribers: 0, acknowledged: 0 };

export const systemActor: Actor = { kind: 'system', id: 'ca' };
