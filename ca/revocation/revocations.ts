/**
 * Revocation that bites: what is revoked is refused here at once, written down, put on signed lists, and pushed.
 * The order is record, store, show: no revocation without a record, none shown that a restart would forget.
 */

import {
  type Clock,
  type Closable,
  describeError,
  formatDurationMs,
  type Logger,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import type { Actor } from '../audit/event.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { ListIssuer } from '../authority/issuer.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Put, Store } from '../store/store.ts';
import { auditedLeaves } from './audited-leaves.ts';
import { loadRevocations } from './load-revocations.ts';
import { leafOf, type LiveLeaf, LiveLeaves } from './live-leaves.ts';
import { PushTimes } from './push-times.ts';
import {
  type IssuanceBlock,
  type Revocation,
  type RevocationState,
  type RevocationTarget,
} from './revocation.ts';
import { pageOf, type RevocationPage } from './revocation-page.ts';
import { formatBlock, formatRevocation, type StoredCrl } from './revocation-record.ts';
import {
  blockOf,
  covers,
  nothingNamed,
  revocationsMax,
  type RevokeRequest,
  tooMany,
} from './revoke-request.ts';
import { type ListedCertificate, signLists } from './signed-lists.ts';

export interface RevocationsDeps {
  readonly store: Store;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly auditDirectory: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The authorities whose lists are kept. */
  readonly issuers: () => readonly ListIssuer[];
  /** What stands on the lists of roots: issuing authorities that were revoked and have not ended. */
  readonly revokedAuthorities?: () => readonly ListedCertificate[];
  /** Changes with the authorities: a new one gets a list before anybody relies on there being one. */
  readonly trust: Watch<unknown>;
  readonly backdateMs: number;
  /** No leaf lives longer than its issuer. */
  readonly issuingMs: number;
  /** Whether the time is sure: what is forgotten does not come back when the clock does. Absent: it is. */
  readonly mayForget?: () => boolean;
}

export interface Revoked {
  /** Those that this call revoked. */
  readonly revoked: readonly Revocation[];
  /** Those it names that were revoked before. */
  readonly before: readonly Revocation[];
  readonly block?: IssuanceBlock;
}

/** Loads what is stored, finds again what still lives, and brings the lists up to date. */
export async function openRevocations(deps: RevocationsDeps): Promise<Revocations> {
  const loaded = await loadRevocations(deps.store);
  const leaves = new LiveLeaves();
  const nowMs = deps.clock.wallMs();
  const { auditDirectory: directory, issuingMs: lifeMsMax } = deps;
  const onGap = (): void => {
    leaves.noteMissing();
    deps.log.warn('certificates that still live may be in archived segments only', {
      remedy: `bring segments of the last ${formatDurationMs(lifeMsMax)} back into ${directory} before you revoke`,
    });
  };
  for await (const leaf of auditedLeaves({ directory, nowMs, lifeMsMax, onGap })) leaves.add(leaf);
  const revocations = new Revocations(deps, leaves, loaded);
  await revocations.refresh();
  return revocations;
}

export class Revocations implements Closable {
  readonly state: Watch<RevocationState>;
  readonly times = new PushTimes();
  readonly #deps: RevocationsDeps;
  readonly #leaves: LiveLeaves;
  readonly #state = new WatchSource<RevocationState>({ version: 0, crls: [], serials: [] });
  readonly #revoked = new Map<string, Revocation>();
  readonly #blocks = new Map<string, IssuanceBlock>();
  readonly #leaveTrust: () => void;
  #crls: ReadonlyMap<string, StoredCrl>;
  #steps: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #closed = false;

  constructor(
    deps: RevocationsDeps,
    leaves: LiveLeaves,
    loaded: Awaited<ReturnType<typeof loadRevocations>>,
  ) {
    this.#deps = deps;
    this.#leaves = leaves;
    this.state = this.#state;
    this.#crls = loaded.crls;
    for (const each of loaded.revocations) this.#revoked.set(each.serial, each);
    for (const each of loaded.blocks) this.#blocks.set(each.spiffeId, each);
    this.#leaveTrust = deps.trust.subscribe(() => this.#refreshSoon(0));
    this.#refreshSoon(sweepMs);
  }

  /** The certificate with this serial, a leaf's or an issuing authority's, must not be believed. */
  isRevoked(serial: string): boolean {
    return this.#revoked.has(serial) || this.#authorities().some((each) => each.serial === serial);
  }

  /** Why nothing is issued for this ID, or undefined. */
  whyBlocked(id: string): string | undefined {
    const block = this.#blocks.get(id);
    if (block === undefined) return undefined;
    const since = new Date(block.blockedAtMs).toISOString();
    return `no certificate is issued for ${id}: blocked since ${since} (${block.reason})`;
  }

  /** The entry that a living leaf was issued under; undefined if it is of none, or not known here. */
  entryOf(serial: string): string | undefined {
    return this.#leaves.get(serial)?.entryId;
  }

  /** Told of every certificate that leaves, as it was recorded. */
  issued(event: Parameters<typeof leafOf>[0]): void {
    const leaf = leafOf(event);
    if (leaf !== undefined) this.#leaves.add(leaf);
  }

  /** The newest first, and of those of one moment by serial; `after` is the `next` of the page before. */
  list(page: { readonly after?: string | undefined; readonly limit: number }): RevocationPage {
    return pageOf([...this.#revoked.values()], page);
  }

  blocks(): readonly IssuanceBlock[] {
    return [...this.#blocks.values()];
  }

  /** Throws {@link RevocationError}. When it resolves the push is on its way to every node. */
  revoke(request: RevokeRequest): Promise<Revoked> {
    const askedAtMs = this.#deps.clock.monotonicMs();
    return this.#exclusive(() => this.#revoke(request, askedAtMs));
  }

  /** The serials of what this names and has not ended. */
  async serialsOf(target: RevocationTarget): Promise<readonly string[]> {
    return (await this.#named(target, this.#deps.clock.wallMs())).map(({ serial }) => serial);
  }

  /** Certificates may be issued for the ID again. False if it was not blocked. */
  unblock(actor: Actor, spiffeId: string): Promise<boolean> {
    return this.#exclusive(async () => {
      if (!this.#blocks.has(spiffeId)) return false;
      await this.#deps.audit.append({ actor, type: 'svid.unblocked', spiffeId });
      await this.#deps.store.commit({ deletes: [storeKeys.blockedId(spiffeId)] });
      this.#blocks.delete(spiffeId);
      return true;
    });
  }

  /** Forgets what has ended, and makes the lists that are missing. */
  refresh(): Promise<void> {
    return this.#exclusive(async () => {
      const { clock, mayForget } = this.#deps;
      const nowMs = clock.wallMs();
      const forgets = mayForget?.() ?? true;
      if (forgets) this.#leaves.prune(nowMs);
      const ended = [...this.#revoked.values()].filter(
        ({ notAfterMs }) => forgets && notAfterMs + keepMs < nowMs,
      );
      const rest = [...this.#revoked.values()].filter((each) => !ended.includes(each));
      const deletes = ended.map(({ serial }) => storeKeys.revocation(serial));
      await this.#commit(rest, [], deletes);
      for (const { serial } of ended) this.#revoked.delete(serial);
      this.#publish(undefined);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#leaveTrust();
    this.#timer?.cancel();
    await this.#steps;
  }

  async #revoke(request: RevokeRequest, askedAtMs: number): Promise<Revoked> {
    const { actor, target, reason, only } = request;
    const nowMs = this.#deps.clock.wallMs();
    const block = blockOf(request, nowMs);
    if (block !== undefined) {
      // First, so that nothing is issued behind the back of what follows.
      await this.#record(request, []);
      const value = formatBlock(block);
      await this.#deps.store.commit({
        puts: [{ key: storeKeys.blockedId(block.spiffeId), value }],
      });
      this.#blocks.set(block.spiffeId, block);
    }
    const all = await this.#named(target, nowMs);
    const named = only === undefined ? all : all.filter(({ serial }) => only.has(serial));
    const before = named.flatMap(({ serial }) => this.#revoked.get(serial) ?? []);
    const fresh: readonly Revocation[] = named
      .filter(({ serial }) => !this.#revoked.has(serial))
      .map((leaf) => ({ ...leaf, reason, revokedAtMs: nowMs, actor }));
    if (named.length === 0 && block === undefined) throw nothingNamed(target);
    if (this.#revoked.size + fresh.length > revocationsMax) throw tooMany(fresh.length);
    if (fresh.length > 0) await this.#record(request, fresh);
    await this.#commit(
      [...this.#revoked.values(), ...fresh],
      fresh.map((each) => ({
        key: storeKeys.revocation(each.serial),
        value: formatRevocation(each),
      })),
      [],
    );
    for (const each of fresh) this.#revoked.set(each.serial, each);
    if (fresh.length > 0) this.#publish(askedAtMs);
    this.#deps.log.warn('certificates revoked', {
      by: target.by,
      target: target.value,
      count: fresh.length,
      reason,
      blocked: block !== undefined,
    });
    return { revoked: fresh, before, ...(block === undefined ? {} : { block }) };
  }

  async #named(target: RevocationTarget, nowMs: number): Promise<readonly LiveLeaf[]> {
    if (target.by === 'serial') {
      const leaf = this.#leaves.get(target.value);
      if (leaf !== undefined) return [leaf];
    } else if (this.#leaves.isComplete) {
      return this.#leaves
        .matching((leaf) => covers(target, leaf))
        .filter(({ notAfterMs }) => notAfterMs > nowMs);
    }
    const { auditDirectory: directory, issuingMs: lifeMsMax } = this.#deps;
    const found: LiveLeaf[] = [];
    for await (const leaf of auditedLeaves({ directory, nowMs, lifeMsMax })) {
      if (covers(target, leaf)) found.push(leaf);
    }
    return found;
  }

  async #record(request: RevokeRequest, fresh: readonly Revocation[]): Promise<void> {
    const { actor, target, reason, block } = request;
    const serials = fresh.map(({ serial }) => serial);
    // One record for many certificates, and more than one for very many: a record has a bound.
    for (let at = 0; at === 0 || at < serials.length; at += serialsPerRecord) {
      await this.#deps.audit.append({
        actor,
        type: 'svid.revoked',
        by: target.by,
        target: target.value,
        reason,
        serials: serials.slice(at, at + serialsPerRecord),
        blocked: block,
      });
    }
  }

  /** Stores the records, then the lists that have to be signed for them. */
  async #commit(
    revocations: readonly Revocation[],
    puts: readonly Put[],
    deletes: readonly string[],
  ): Promise<void> {
    const { store, clock, issuers, backdateMs } = this.#deps;
    const lists = await signLists({
      before: this.#crls,
      revocations: [...revocations, ...this.#authorities()],
      issuers: issuers(),
      nowMs: clock.wallMs(),
      backdateMs,
    });
    // The records first: a start that finds one without its place on a list makes the list anew.
    for (let at = 0; at < puts.length; at += recordsPerCommit) {
      await store.commit({ puts: puts.slice(at, at + recordsPerCommit) });
    }
    for (let at = 0; at < deletes.length; at += recordsPerCommit) {
      await store.commit({ deletes: deletes.slice(at, at + recordsPerCommit) });
    }
    if (lists.puts.length + lists.deletes.length > 0) {
      await store.commit({ puts: lists.puts, deletes: lists.deletes });
    }
    this.#crls = lists.crls;
  }

  #publish(askedAtMs: number | undefined): void {
    const before = this.#state.current();
    // Nothing revoked any more: lists that say so would only have to be kept in step.
    const isEmpty = this.#revoked.size === 0 && this.#authorities().length === 0;
    const crls = isEmpty ? [] : [...this.#crls.values()].map(({ der }) => der);
    const serials = [...this.#revoked.keys()];
    if (sameItems(before.crls, crls) && sameItems(before.serials, serials)) return;
    const version = before.version + 1;
    if (askedAtMs !== undefined) this.times.began(version, askedAtMs);
    this.#state.set({ version, crls, serials });
  }

  #authorities(): readonly ListedCertificate[] {
    return this.#deps.revokedAuthorities?.() ?? [];
  }

  #refreshSoon(delayMs: number): void {
    if (this.#closed) return;
    const { clock, log } = this.#deps;
    this.#timer?.cancel();
    this.#timer = clock.after(delayMs, () => {
      this.#refreshSoon(sweepMs);
      this.refresh().catch((error: unknown) => {
        log.error('revocation lists could not be kept up', { reason: describeError(error) });
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

function sameItems<T>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

// A verifier whose clock is behind may still believe a certificate that has just ended.
const keepMs = 300_000;
const sweepMs = 60_000;
// Half a kilobyte each; a transaction has a bound on its operations and its bytes.
const recordsPerCommit = 500;
// A serial takes 37 bytes in a record.
const serialsPerRecord = 500;
