/**
 * The steps of an authority's life. Each judges first, then makes what is needed, then records it in the
 * audit log, and answers with the set to be stored: nothing has happened until that is durable. So a kill
 * can leave a record of what was never done, but never a deed without a record.
 */

import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../core/index.ts';
import { keySigner } from '../../pki/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor } from '../audit/event.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { auditedAuthority, auditedIssuing } from './authority-audit.ts';
import { AuthorityError } from './authority-error.ts';
import type { Lifetimes } from './lifetimes.ts';
import { type MintedAuthority, mintIssuing, type MintOptions, mintRoot } from './mint-authority.ts';
import {
  checkActivation,
  checkPreparation,
  checkRetirement,
  type DueStep,
  type Propagation,
  withActivatedRoot,
  withPreparedRoot,
  withRenewedIssuing,
  withRetired,
} from './rotation.ts';
import { activeRoot, trustedRoots } from './slot.ts';

export interface StepDeps {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly lifetimes: Lifetimes;
  /** A serial number that was never given before. */
  readonly nextSerial: () => Promise<Uint8Array>;
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
    const root = await mintRoot(await mintOptions(deps));
    const { authority } = root;
    await recordAuthority(deps, actor, 'authority.prepared', authority);
    return { next: withPreparedRoot(set, authority), minted: [root], id: authority.id };
  };
}

/** The prepared root signs from now on, through an issuing authority of its own. */
export function activateStep(
  actor: Actor,
  id: string,
  propagation: (rootId: string) => Propagation,
  force: boolean,
): Step {
  return async (deps, { set, privateKey }) => {
    const root = checkActivation(set, id, propagation(id), force);
    const issuing = await mintIssuing(await mintOptions(deps), root, keySigner(privateKey(id)));
    await recordAuthority(deps, actor, 'authority.activated', root, force);
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
    await recordAuthority(deps, actor, 'authority.retired', authority, force);
    return { next: withRetired(set, id, nowMs), minted: [], id };
  };
}

/** What time alone makes necessary. */
export function dueStepOf(due: DueStep): Step {
  if (due.kind === 'begin_root') return beginStep;
  return due.kind === 'renew_issuing' ? renewStep : retireStep(systemActor, due.id, false);
}

/** There is no root that signs: the one that waits, or else a new one, begins at once. */
const beginStep: Step = async (deps, { set, privateKey }) => {
  const waiting = trustedRoots(set).find(({ state }) => state === 'prepared');
  const made: MintedAuthority =
    waiting === undefined
      ? await mintRoot(await mintOptions(deps))
      : { authority: waiting, privateKey: privateKey(waiting.id) };
  const root = made.authority;
  const signer = keySigner(made.privateKey);
  const issuing = await mintIssuing(await mintOptions(deps), root, signer);
  if (waiting === undefined) await recordAuthority(deps, systemActor, 'authority.prepared', root);
  await recordAuthority(deps, systemActor, 'authority.activated', root);
  await recordIssuing(deps, systemActor, issuing.authority, root);
  const prepared = waiting === undefined ? withPreparedRoot(set, root) : set;
  return {
    next: withActivatedRoot(prepared, root.id, issuing.authority, deps.clock.wallMs()),
    minted: waiting === undefined ? [made, issuing] : [issuing],
    id: root.id,
  };
};

/** The active root signs another issuing authority. */
const renewStep: Step = async (deps, { set, privateKey }) => {
  const root = activeRoot(set);
  if (root === undefined) throw new AuthorityError('authority_ended', 'no root is active');
  const signer = keySigner(privateKey(root.id));
  const issuing = await mintIssuing(await mintOptions(deps), root, signer);
  await recordIssuing(deps, systemActor, issuing.authority, root);
  const { id } = issuing.authority;
  return { next: withRenewedIssuing(set, issuing.authority), minted: [issuing], id };
};

async function mintOptions(deps: StepDeps): Promise<MintOptions> {
  const { trustDomain, lifetimes, clock, nextSerial } = deps;
  return { trustDomain, lifetimes, nowMs: clock.wallMs(), serial: await nextSerial() };
}

async function recordAuthority(
  { audit }: StepDeps,
  actor: Actor,
  type: 'authority.prepared' | 'authority.activated' | 'authority.retired',
  authority: Authority,
  force = false,
): Promise<void> {
  const forced = force ? { forced: true } : {};
  await audit.append({ actor, type, authority: auditedAuthority(authority), ...forced });
}

async function recordIssuing(
  { audit, trustDomain }: StepDeps,
  actor: Actor,
  issuing: Authority,
  root: Authority,
): Promise<void> {
  const certificate = auditedIssuing(issuing, root, trustDomain);
  await audit.append({ actor, type: 'authority.issuing_rotated', certificate });
}

const systemActor: Actor = { kind: 'system', id: 'ca' };
