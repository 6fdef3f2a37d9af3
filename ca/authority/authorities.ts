/**
 * The authorities at work: they rotate themselves where time alone decides, and where an operator
 * decides they judge first, then record, then store, then act. One step at a time.
 */

import { hash, type KeyObject } from 'node:crypto';
import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { keySigner } from '../../pki/index.ts';
import { type Bundle, formatBundle, type TrustDomain } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor } from '../audit/event.ts';
import type { Store } from '../store/store.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import { auditedAuthority, auditedIssuing } from './authority-audit.ts';
import { type Issuer, issuerOf } from './issuer.ts';
import { type Journal, openJournal } from './journal.ts';
import type { KeyStore } from './key-store.ts';
import { LeafMarks } from './leaf-marks.ts';
import type { Lifetimes } from './lifetimes.ts';
import { mintIssuing, mintRoot, type MintedAuthority, type MintOptions } from './mint-authority.ts';
import {
  checkActivation,
  checkPreparation,
  checkRetirement,
  type DueStep,
  dueStep,
  nextDueMs,
  type Propagation,
  withActivatedRoot,
  withLeafMark,
  withPreparedRoot,
  withRenewedIssuing,
  withRetired,
} from './rotation.ts';
import { activeIssuing, activeRoot, authorityById, halfLifeMs, trustedRoots } from './slot.ts';

export interface AuthoritiesDeps {
  readonly store: Store;
  readonly keyStore: KeyStore;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly lifetimes: Lifetimes;
  /** A serial number that was never given before. */
  readonly nextSerial: () => Promise<Uint8Array>;
}

/** What peers are told of the authorities. */
export interface Trust {
  readonly bundle: Bundle;
  /** The bundle as a SPIFFE JWKS document. */
  readonly bundleDocument: string;
  readonly activeRoot: Authority;
  /** The store's revision since which it is so. */
  readonly revision: number;
}

export interface Authorities extends Closable {
  readonly trust: Watch<Trust>;
  /** Who signs now. Throws {@link AuthorityError} `authority_ended`. */
  issuer(): Issuer;
  /** Says, before signing, that a leaf will live until then; in the same turn as {@link issuer}. */
  expectLeaf(issuerId: string, notAfterMs: number): void;
  /** Resolves when it is durable that a leaf below this issuer may live until then. */
  recordLeaf(issuerId: string, notAfterMs: number): Promise<void>;
  /** All of them, with the exact end of the last leaf where it is known. */
  current(): AuthoritySet;
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
  #trust: WatchSource<Trust> | undefined;
  #issuer: Issuer | undefined;
  #timer: Timer | undefined;
  #steps: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(deps: AuthoritiesDeps, journal: Journal) {
    this.#deps = deps;
    this.#journal = journal;
    this.#marks = new LeafMarks(journal.current());
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

  expectLeaf(issuerId: string, notAfterMs: number): void {
    this.#marks.raise(issuerId, notAfterMs);
  }

  async recordLeaf(issuerId: string, notAfterMs: number): Promise<void> {
    // The usual case, and no write: an earlier leaf's mark was set some way ahead.
    if (notAfterMs <= this.#marks.durable(issuerId)) return;
    await this.#exclusive(async () => {
      if (notAfterMs <= this.#marks.durable(issuerId)) return;
      const { certificate } = authorityById(this.#journal.current(), issuerId);
      const aheadMs = notAfterMs + this.#deps.lifetimes.x509SvidMs / markStepsPerLife;
      const markMs = Math.min(aheadMs, certificate.notAfterMs);
      await this.#commit(withLeafMark(this.#journal.current(), issuerId, markMs), []);
    });
  }

  prepare(actor: Actor): Promise<Authority> {
    return this.#exclusive(async () => {
      checkPreparation(this.current());
      const minted = await mintRoot(await this.#mintOptions());
      await this.#deps.audit.append({
        actor,
        type: 'authority.prepared',
        authority: auditedAuthority(minted.authority),
      });
      await this.#commit(withPreparedRoot(this.current(), minted.authority), [minted]);
      return minted.authority;
    });
  }

  activate(
    actor: Actor,
    id: string,
    propagation: (rootId: string) => Propagation,
    force: boolean,
  ): Promise<Authority> {
    return this.#exclusive(async () => {
      const root = checkActivation(this.current(), id, propagation(id), force);
      const issuing = await this.#mintIssuing(root, this.#journal.privateKey(id));
      await this.#deps.audit.append({
        actor,
        type: 'authority.activated',
        authority: auditedAuthority(root),
        ...(force ? { forced: true } : {}),
      });
      await this.#auditIssuing(actor, issuing.authority, root);
      const nowMs = this.#deps.clock.wallMs();
      await this.#commit(withActivatedRoot(this.current(), id, issuing.authority, nowMs), [
        issuing,
      ]);
      return authorityById(this.current(), id);
    });
  }

  retire(actor: Actor, id: string, force: boolean): Promise<Authority> {
    return this.#exclusive(() => this.#retire(actor, id, force));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#steps;
  }

  /** Does what is due, then sleeps until the next thing is. */
  async catchUp(): Promise<void> {
    await this.#exclusive(async () => {
      if (this.#trust === undefined && activeRoot(this.#journal.current()) !== undefined) {
        this.#publish();
      }
      for (let step = this.#dueStep(); step !== undefined; step = this.#dueStep()) {
        await this.#take(step);
      }
    });
    this.#schedule();
  }

  #dueStep(): DueStep | undefined {
    const { clock, lifetimes } = this.#deps;
    return dueStep(this.current(), clock.wallMs(), lifetimes.issuingMs);
  }

  async #take(step: DueStep): Promise<void> {
    switch (step.kind) {
      case 'begin_root':
        return this.#beginRoot(step.reason);
      case 'renew_issuing':
        return this.#renewIssuing();
      case 'retire_issuing':
        await this.#retire(systemActor, step.id, false);
    }
  }

  async #beginRoot(reason: string): Promise<void> {
    const { audit, clock, log } = this.#deps;
    const before = this.current();
    const waiting = trustedRoots(before).find(({ state }) => state === 'prepared');
    const minted = waiting === undefined ? await mintRoot(await this.#mintOptions()) : undefined;
    const root = waiting ?? minted?.authority;
    const key = minted?.privateKey ?? (waiting && this.#journal.privateKey(waiting.id));
    if (root === undefined || key === undefined) return;
    const issuing = await this.#mintIssuing(root, key);
    const authority = auditedAuthority(root);
    if (minted !== undefined) {
      await audit.append({ actor: systemActor, type: 'authority.prepared', authority });
    }
    await audit.append({ actor: systemActor, type: 'authority.activated', authority });
    await this.#auditIssuing(systemActor, issuing.authority, root);
    const prepared = minted === undefined ? before : withPreparedRoot(before, root);
    await this.#commit(
      withActivatedRoot(prepared, root.id, issuing.authority, clock.wallMs()),
      minted === undefined ? [issuing] : [minted, issuing],
    );
    log.warn('a new root authority begins', { authority: root.id, reason });
  }

  async #renewIssuing(): Promise<void> {
    const root = activeRoot(this.current());
    if (root === undefined) return;
    const issuing = await this.#mintIssuing(root, this.#journal.privateKey(root.id));
    await this.#auditIssuing(systemActor, issuing.authority, root);
    await this.#commit(withRenewedIssuing(this.current(), issuing.authority), [issuing]);
    this.#deps.log.info('issuing authority renewed', { authority: issuing.authority.id });
    if (this.#deps.clock.wallMs() > halfLifeMs(root)) {
      this.#deps.log.warn('the root authority is past half its life; prepare the next one', {
        authority: root.id,
        notAfter: new Date(root.certificate.notAfterMs).toISOString(),
      });
    }
  }

  async #retire(actor: Actor, id: string, force: boolean): Promise<Authority> {
    const nowMs = this.#deps.clock.wallMs();
    const authority = checkRetirement(this.current(), id, nowMs, force);
    await this.#deps.audit.append({
      actor,
      type: 'authority.retired',
      authority: auditedAuthority(authority),
      ...(force ? { forced: true } : {}),
    });
    const next = withRetired(this.current(), id, nowMs);
    await this.#commit(next, []);
    this.#deps.log.info('authority retired', { authority: id, tier: authority.tier });
    return authorityById(next, id);
  }

  async #mintIssuing(root: Authority, rootKey: KeyObject): Promise<MintedAuthority> {
    return mintIssuing(await this.#mintOptions(), root, keySigner(rootKey));
  }

  async #mintOptions(): Promise<MintOptions> {
    const { trustDomain, lifetimes, clock, nextSerial } = this.#deps;
    return { trustDomain, lifetimes, nowMs: clock.wallMs(), serial: await nextSerial() };
  }

  async #auditIssuing(actor: Actor, issuing: Authority, root: Authority): Promise<void> {
    await this.#deps.audit.append({
      actor,
      type: 'authority.issuing_rotated',
      certificate: auditedIssuing(issuing, root, this.#deps.trustDomain),
    });
  }

  /** Durable first; only then does anybody see it or sign with it. */
  async #commit(next: AuthoritySet, minted: readonly MintedAuthority[]): Promise<void> {
    const before = this.#journal.current();
    await this.#journal.commit(
      next,
      new Map(minted.map(({ authority, privateKey }) => [authority.id, privateKey])),
    );
    this.#marks.stored(next);
    const same =
      next.bundleSequence === before.bundleSequence &&
      activeIssuing(next)?.id === activeIssuing(before)?.id;
    if (!same) this.#publish();
  }

  #publish(): void {
    const set = this.#journal.current();
    const root = activeRoot(set);
    const issuing = activeIssuing(set);
    if (root === undefined || issuing === undefined) return;
    if (this.#issuer?.id !== issuing.id) {
      const signer = keySigner(this.#journal.privateKey(issuing.id));
      this.#issuer = issuerOf(issuing, root, signer);
    }
    const bundle: Bundle = {
      trustDomain: this.#deps.trustDomain,
      sequence: set.bundleSequence,
      refreshHintSeconds,
      x509Authorities: trustedRoots(set).map(({ certificate }) => certificate),
      jwtAuthorities: [],
    };
    const trust: Trust = {
      bundle,
      bundleDocument: formatBundle(bundle),
      activeRoot: root,
      revision: this.#journal.revision(),
    };
    if (this.#trust === undefined) this.#trust = new WatchSource(trust);
    else this.#trust.set(trust);
  }

  #schedule(afterMs = 0): void {
    if (this.#closed) return;
    const { clock, lifetimes } = this.#deps;
    const dueMs = nextDueMs(this.current(), lifetimes.issuingMs) - clock.wallMs();
    this.#timer?.cancel();
    // Wall time may jump, and marks move; a look now and then costs nothing.
    const delayMs = Math.max(afterMs, Math.min(Math.max(dueMs, 0), lookMsMax));
    this.#timer = clock.after(delayMs, () => {
      this.catchUp().catch((error: unknown) => {
        this.#deps.log.error('rotation failed', { reason: describeError(error) });
        this.#schedule(retryMs);
      });
    });
  }

  #exclusive<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#steps.then(step);
    // The next step runs whatever became of this one; its caller gets the failure.
    this.#steps = result.catch(() => undefined);
    return result;
  }
}

/** Lower hexadecimal SHA-256 of a root's DER: what an agent pins until it has the bundle. */
export function rootSha256(root: Authority): string {
  return hash('sha256', root.certificate.der, 'hex');
}

/** Lower hexadecimal serial of an authority's certificate. */
export function authoritySerial(authority: Authority): string {
  return authority.certificate.serial;
}

const systemActor: Actor = { kind: 'system', id: 'ca' };

// The mark of the last leaf is stored this share of an SVID's life ahead: so often is it written, and so
// much later than needed may an authority be retired after a restart.
const markStepsPerLife = 4;

// SPIFFE Trust Domain and Bundle §4.1.2. Agents are pushed to; this is for whoever polls.
const refreshHintSeconds = 300;
const lookMsMax = 60_000;
const retryMs = 5000;
