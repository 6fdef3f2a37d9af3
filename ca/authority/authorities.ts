/**
 * The authorities at work: they rotate themselves where time alone decides, and step forward where an
 * operator asks. One step at a time, each stored before it acts.
 */

import { hash } from 'node:crypto';
import {
  type Closable,
  describeError,
  type Logger,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { keySigner, type Signatures } from '../../pki/index.ts';
import type { Actor } from '../audit/event.ts';
import type { Store } from '../store/store.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import { type ClockJudgement, type ClockTrust, unquestionedClock } from './clock-trust.ts';
import {
  activateStep,
  type Change,
  prepareStep,
  retireStep,
  type Step,
  type StepDeps,
} from './authority-step.ts';
import { abortStep, revokeStep, taintStep } from './compromise-step.ts';
import { dueStepOf } from './due-step.ts';
import type { Propagation, PushTimes } from './evidence.ts';
import { type Issuer, issuerOf, type ListIssuer } from './issuer.ts';
import { listIssuersOf, revokedAuthorities } from './list-issuers.ts';
import { type Journal, openJournal } from './journal.ts';
import type { PublishedJwtKeys } from './jwt-keys.ts';
import type { KeyStore } from './key-store.ts';
import { LeafMarks } from './leaf-marks.ts';
import { type DueContext, type DueStep, dueStep, nextDueMs, withLeafMark } from './rotation.ts';
import { defaultRotationPolicy, type RotationPolicy } from './rotation-policy.ts';
import { isOverdue, OverdueAlarm } from './overdue.ts';
import { activeIssuing, activeRoot, authorityById, taintedKeyIds, waitingRoot } from './slot.ts';
import { type Trust, trustOf } from './trust.ts';

export interface AuthoritiesDeps extends StepDeps {
  readonly store: Store;
  readonly keyStore: KeyStore;
  readonly log: Logger;
  /** How far the time may be relied on; absent: wholly. */
  readonly clockJudgement?: ClockJudgement;
  /** Where the issuing authority signs; absent: in the calling thread. */
  readonly signatures?: Signatures;
  /** The JWT keys that belong into the bundle beside the roots. */
  readonly jwtKeys?: Watch<PublishedJwtKeys>;
  /** Without it roots move only when they are told to. */
  readonly rotation?: {
    readonly policy: RotationPolicy;
    readonly propagationOf: (rootId: string) => Propagation;
    readonly pushTimesOf?: (rootId: string) => PushTimes | undefined;
  };
}

export interface Authorities extends Closable {
  readonly trust: Watch<Trust>;
  /** Who signs now. Throws {@link AuthorityError} `authority_ended`. */
  issuer(): Issuer;
  /** Says, before signing, that a leaf will live until then; in the same turn as {@link issuer}. */
  expectLeaf(issuerId: string, notAfterMs: number): void;
  /** Resolves when it is durable that a leaf below this issuer may live until then. */
  recordLeaf(issuerId: string, notAfterMs: number): Promise<void>;
  /** Every authority that has its key, for the lists of what was revoked below it. */
  listIssuers(): readonly ListIssuer[];
  /** All of them, with the exact end of the last leaf where it is known. */
  current(): AuthoritySet;
  policy(): RotationPolicy;
  /** The root that waits for the fleet past the deadline of the policy. */
  overdue(): Authority | undefined;
  /** A new root, in the bundle at once. */
  prepare(actor: Actor): Promise<Authority>;
  /** The prepared root signs from now on. Throws {@link AuthorityError} `authority_not_propagated`. */
  activate(
    actor: Actor,
    id: string,
    propagation: (rootId: string) => Propagation,
    force: boolean,
  ): Promise<Authority>;
  /** It leaves the bundle and its key is destroyed. Throws {@link AuthorityError} `authority_in_use`. */
  retire(actor: Actor, id: string, force: boolean): Promise<Authority>;
  /** A root that has signed nothing leaves the bundle again. */
  abort(actor: Actor, id: string): Promise<Authority>;
  /** What stands under it is made anew at once; what signs now is replaced in the same step. */
  taint(actor: Actor, id: string): Promise<Authority>;
  /** A tainted one is trusted no longer. Throws {@link AuthorityError} `authority_in_use`. */
  revoke(actor: Actor, id: string, force: boolean): Promise<Authority>;
}

/** Opens what the store holds, or begins a new root, and catches up with what time made due. */
export async function openAuthorities(deps: AuthoritiesDeps): Promise<Authorities> {
  const journal = await openJournal(deps.store, deps.keyStore);
  const working = new WorkingAuthorities(deps, journal);
  await working.catchUp();
  return working;
}

class WorkingAuthorities implements Authorities {
  readonly #deps: AuthoritiesDeps;
  readonly #journal: Journal;
  readonly #marks: LeafMarks;
  readonly #alarm: OverdueAlarm;
  #trust: WatchSource<Trust> | undefined;
  #issuer: Issuer | undefined;
  #timer: Timer | undefined;
  readonly #leaveJwtKeys: (() => void) | undefined;
  #steps: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(deps: AuthoritiesDeps, journal: Journal) {
    this.#deps = deps;
    this.#journal = journal;
    this.#marks = new LeafMarks(journal.current());
    this.#alarm = new OverdueAlarm(deps.log, this.policy());
    this.#publish();
    this.#leaveJwtKeys = deps.jwtKeys?.subscribe(() => this.#publish());
  }

  get trust(): Watch<Trust> {
    if (this.#trust !== undefined) return this.#trust;
    throw new AuthorityError('authority_ended', 'there is no root yet');
  }

  issuer(): Issuer {
    const issuer = this.#issuer;
    if (issuer !== undefined && issuer.notAfterMs >= this.#deps.clock.wallMs()) return issuer;
    throw new AuthorityError('authority_ended', 'the issuing authority has ended');
  }

  current(): AuthoritySet {
    return this.#marks.applyTo(this.#journal.current());
  }

  listIssuers(): readonly ListIssuer[] {
    return listIssuersOf(this.#journal.current(), this.#journal, this.#deps.upstream);
  }

  expectLeaf(issuerId: string, notAfterMs: number): void {
    this.#marks.raise(issuerId, notAfterMs);
  }

  async recordLeaf(issuerId: string, notAfterMs: number): Promise<void> {
    // The usual case, and no write: an earlier leaf's mark was set some way ahead.
    if (notAfterMs <= this.#marks.durable(issuerId)) return;
    await this.#exclusive(async () => {
      if (notAfterMs <= this.#marks.durable(issuerId)) return;
      const set = this.#journal.current();
      const { certificate } = authorityById(set, issuerId);
      const aheadMs = notAfterMs + this.#deps.lifetimes.x509SvidMs / markStepsPerLife;
      const markMs = Math.min(aheadMs, certificate.notAfterMs);
      await this.#store({ next: withLeafMark(set, issuerId, markMs), minted: [], id: issuerId });
    });
  }

  async prepare(actor: Actor): Promise<Authority> {
    this.#checkClock('doubtful');
    return this.#take(prepareStep(actor));
  }

  async activate(
    actor: Actor,
    id: string,
    propagation: (rootId: string) => Propagation,
    force: boolean,
  ): Promise<Authority> {
    // By a clock that is ahead, nodes whose certificates are good have left the count.
    this.#checkClock(force ? 'doubtful' : 'settled');
    return this.#take(activateStep(actor, id, propagation, force, this.policy().threshold));
  }

  async retire(actor: Actor, id: string, force: boolean): Promise<Authority> {
    if (!force) this.#checkClock('sure');
    return this.#take(retireStep(actor, id, force));
  }

  abort(actor: Actor, id: string): Promise<Authority> {
    return this.#take(abortStep(actor, id));
  }

  taint(actor: Actor, id: string): Promise<Authority> {
    return this.#take(taintStep(actor, id));
  }

  async revoke(actor: Actor, id: string, force: boolean): Promise<Authority> {
    if (!force) this.#checkClock('sure');
    return this.#take(revokeStep(actor, id, force));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#leaveJwtKeys?.();
    await this.#steps;
  }

  /** Does what is due, then sleeps until the next thing is. */
  async catchUp(): Promise<void> {
    await this.#exclusive(async () => {
      for (let due = this.#due(); due !== undefined; due = this.#due()) {
        const { id, next } = await this.#run(dueStepOf(due, this.#dueContext()));
        this.#tell(due, authorityById(next, id));
      }
    });
    this.#alarm.look(this.overdue(), this.#dueContext().propagationOf);
    // Something may be due that cannot be done yet: it waits for the clock, or for a key that is not here.
    this.#schedule(this.#clockTrust() === 'sure' ? idleMs : heldLookMs);
  }

  async #take(step: Step): Promise<Authority> {
    const authority = await this.#exclusive(async () => {
      const { id, next } = await this.#run(step);
      return authorityById(next, id);
    });
    this.#deps.log.info('authority changed', { authority: authority.id, state: authority.state });
    this.#schedule();
    return authority;
  }

  async #run(step: Step): Promise<Change> {
    const change = await step(this.#deps, {
      set: this.current(),
      privateKey: (id) => this.#journal.privateKey(id),
    });
    await this.#store(change);
    return change;
  }

  /** Durable first; only then does anybody see it or sign with it. */
  async #store({ next, minted }: Change): Promise<void> {
    const before = this.#journal.current();
    const keys = minted.map(({ authority, privateKey }) => [authority.id, privateKey] as const);
    try {
      await this.#journal.commit(next, new Map(keys));
    } catch (error) {
      if (error instanceof AuthorityError && error.code === 'authority_conflict') this.#reloaded();
      throw error;
    }
    this.#marks.stored(next);
    const isSame =
      next.bundleSequence === before.bundleSequence &&
      activeIssuing(next)?.id === activeIssuing(before)?.id &&
      taintedKeyIds(next).join() === taintedKeyIds(before).join() &&
      // Whoever is dropped goes onto its root's list.
      revokedAuthorities(next, 0).length === revokedAuthorities(before, 0).length;
    if (!isSame) this.#publish();
  }

  /** Another CA changed what is stored: its state is ours from now on. */
  #reloaded(): void {
    this.#marks.reloaded(this.#journal.current());
    this.#publish();
  }

  #publish(): void {
    const set = this.#journal.current();
    const [root, issuing] = [activeRoot(set), activeIssuing(set)];
    if (root === undefined || issuing === undefined) return;
    if (this.#issuer?.id !== issuing.id) {
      const signer = keySigner(this.#journal.privateKey(issuing.id), this.#deps.signatures);
      this.#issuer = issuerOf(issuing, root, signer);
    }
    const { trustDomain } = this.#deps;
    const revision = this.#journal.revision();
    const jwtKeys = this.#deps.jwtKeys?.current();
    const trust = trustOf({ set, activeRoot: root, trustDomain, revision, jwtKeys });
    if (this.#trust === undefined) this.#trust = new WatchSource(trust);
    else this.#trust.set(trust);
  }

  #due(): DueStep | undefined {
    return dueStep(this.current(), this.#deps.clock.wallMs(), this.#dueContext());
  }

  policy(): RotationPolicy {
    return this.#deps.rotation?.policy ?? { ...defaultRotationPolicy, automatic: false };
  }

  #clockTrust(): ClockTrust {
    return (this.#deps.clockJudgement ?? unquestionedClock).trust();
  }

  /** Throws the clock's fault unless it may be relied on so far. */
  #checkClock(wanted: Exclude<ClockTrust, 'wrong'>): void {
    const doubt = this.#deps.clockJudgement?.doubt(wanted);
    if (doubt !== undefined) throw doubt;
  }

  overdue(): Authority | undefined {
    const waiting = waitingRoot(this.#journal.current());
    // A published one waits for its operator, or for somebody who came since.
    const isStuck = waiting?.state === 'prepared' || waiting?.isAutomatic === true;
    if (!isStuck || this.#deps.clockJudgement?.doubt('settled') !== undefined) return undefined;
    return isOverdue(waiting, this.#deps.clock.wallMs(), this.policy()) ? waiting : undefined;
  }

  #dueContext(): DueContext {
    const { lifetimes, rotation, upstream } = this.#deps;
    return {
      issuingMs: lifetimes.issuingMs,
      policy: this.policy(),
      propagationOf: rotation?.propagationOf ?? unknownPropagation,
      pushTimesOf: rotation?.pushTimesOf,
      canSign: (id) => upstream?.rootId === id || this.#journal.hasKey(id),
      upstreamId: upstream?.rootId,
      clockTrust: this.#clockTrust(),
    };
  }

  #schedule(afterMs = 0): void {
    if (this.#closed) return;
    const { clock, lifetimes, log } = this.#deps;
    const dueMs = nextDueMs(this.current(), lifetimes.issuingMs) - clock.wallMs();
    this.#timer?.cancel();
    // Wall time may jump, and marks move; a look every few seconds costs nothing.
    const delayMs = Math.max(afterMs, Math.min(Math.max(dueMs, 0), this.#lookMs()));
    this.#timer = clock.after(delayMs, () => {
      this.catchUp().catch((error: unknown) => {
        log.error('rotation failed and is tried again', { reason: describeError(error) });
        this.#schedule(retryMs);
      });
    });
  }

  /** While a root waits, evidence for it can come in at any time. */
  #lookMs(): number {
    const waits = waitingRoot(this.#journal.current()) !== undefined;
    return waits && this.#deps.rotation !== undefined ? evidenceLookMs : lookMsMax;
  }

  #tell(due: DueStep, authority: Authority): void {
    const { log } = this.#deps;
    const { id } = authority;
    if (due.kind === 'note_arrivals') return;
    if (due.kind === 'begin_root') log.warn('a root authority begins', { id, reason: due.reason });
    else log.info('authority rotated', { id, tier: authority.tier, state: authority.state });
  }

  #exclusive<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#steps.then(step);
    // The next step runs whatever became of this one; its caller gets the failure.
    this.#steps = result.catch(() => undefined);
    return result;
  }
}

export type RootCertificate = Pick<Authority, 'certificate'>;

/** Lower hexadecimal SHA-256 of a root's DER: what an agent pins until it has the bundle. */
export function rootSha256(root: RootCertificate): string {
  return hash('sha256', root.certificate.der, 'hex');
}

// The mark of the last leaf is stored this share of an SVID's life ahead: so often is it written, and so
// much later than needed may an authority be retired after a restart.
const markStepsPerLife = 4;
const lookMsMax = 5000;
// Beside the shortest wait for the clock, an eighth of an issuing authority's life.
const heldLookMs = 500;
const idleMs = 100;
const evidenceLookMs = 250;
// Nothing is known of anybody: no evidence ever holds.
const unknownPropagation = (): Propagation => ({
  nodes: 1,
  nodesApplied: 0,
  subscribers: 0,
  acknowledged: 0,
});
const retryMs = 5000;
