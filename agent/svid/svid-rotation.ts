/** Keeps an SVID for every entry of this node: issues, renews, withdraws, and publishes each change once. */

import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  sleep,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { VerifiedPairs } from '../../pki/index.ts';
import type { CaState } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';
import { unlessAborted } from '../unless-aborted.ts';
import type { EntrySvid, EntrySvids } from './entry-svid.ts';
import { type IssueOutcome, issueSvids } from './issue-svids.ts';
import {
  dueSlots,
  nextWakeMs,
  type Now,
  reconcileSlots,
  retryUnreachable,
  type SvidSlot,
  type SvidSlots,
  withdrawExpired,
  withdrawRevoked,
  withFailure,
  withSvid,
} from './svid-schedule.ts';

export interface SvidRotationDeps {
  readonly api: Watch<NodeApi>;
  readonly state: Watch<CaState | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What a former start of this agent held; not expired. */
  readonly restored?: readonly EntrySvid[];
}

export interface SvidRotation extends Closable {
  readonly svids: Watch<EntrySvids>;
  /** What is held: published, or restored for an entry that no workload has derived again yet. */
  held(): readonly EntrySvid[];
  /** Why entries have no new certificate, by entry id, for as long as that is so: for operators. */
  refusals(): ReadonlyMap<string, SvidRefusal>;
}

/** The newest answer of the CA for an entry that was no certificate. */
export interface SvidRefusal {
  readonly atMs: number;
  /** The CA's own word for it; absent where the agent did not take what the CA sent. */
  readonly code?: string;
  readonly reason: string;
  readonly failures: number;
  readonly retryInMs: number;
}

export function startSvidRotation(deps: SvidRotationDeps): SvidRotation {
  const ended = new AbortController();
  const rotation = new Rotation(deps, ended.signal);
  const running = rotation.run();
  return {
    svids: rotation.svids,
    held: () => rotation.held(),
    refusals: () => rotation.refusals(),
    async close() {
      ended.abort();
      await running;
    },
  };
}

class Rotation {
  readonly svids = new WatchSource<EntrySvids>(new Map());
  readonly #deps: SvidRotationDeps;
  readonly #signal: AbortSignal;
  readonly #verifiedPairs = new VerifiedPairs();
  #slots: SvidSlots = new Map();
  readonly #refusals = new Map<string, Pick<SvidRefusal, 'atMs' | 'code' | 'reason'>>();
  /** Restored ones whose entry is not there: a workload derives it when it comes back. */
  readonly #parked: Map<string, EntrySvid>;
  readonly #parkedUntilMs: number;
  #applied: CaState | undefined;
  /** What was published last, and whose expiry is watched. */
  #looked: SvidSlots | undefined;
  #expiry: Timer | undefined;

  constructor(deps: SvidRotationDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#parked = new Map((deps.restored ?? []).map((held) => [held.entryId, held]));
    this.#parkedUntilMs = deps.clock.monotonicMs() + parkedMs;
  }

  async run(): Promise<void> {
    // Entries that are gone must not be served until a batch that is under way comes back.
    const unsubscribe = this.#deps.state.subscribe(() => this.#refresh());
    this.#refresh();
    while (!this.#signal.aborted) {
      const due = dueSlots(this.#slots, this.#activeRoot(), this.#now(), batchMax);
      if (due.length === 0) await this.#waitForWork();
      else await unlessAborted(this.#signal, this.#issue(due));
      this.#refresh();
    }
    unsubscribe();
    this.#expiry?.cancel();
  }

  held(): readonly EntrySvid[] {
    return [...this.svids.current().values(), ...this.#parked.values()];
  }

  refusals(): ReadonlyMap<string, SvidRefusal> {
    const nowMs = this.#now().monotonicMs;
    return new Map(
      [...this.#refusals].flatMap(([id, refusal]) => {
        const slot = this.#slots.get(id);
        if (slot === undefined) return [];
        const { failures = 0, atMs = nowMs } = slot.retry ?? {};
        return [[id, { ...refusal, failures, retryInMs: Math.max(0, atMs - nowMs) }]];
      }),
    );
  }

  async #issue(due: readonly SvidSlot[]): Promise<void> {
    const { api, clock, random, state, log } = this.#deps;
    const entries = due.map((slot) => slot.entry);
    let outcomes: readonly IssueOutcome[];
    try {
      const bundles = () => state.current()?.bundles ?? new Map<never, never>();
      outcomes = await issueSvids(entries, {
        api: api.current(),
        bundles,
        verifiedPairs: this.#verifiedPairs,
        clock,
        random,
      });
    } catch (error) {
      // The first failure of an outage is news; the tries that follow it are not.
      const level = due.every(({ retry }) => (retry?.failures ?? 0) === 0) ? 'warn' : 'debug';
      log[level]('no SVIDs could be fetched; those at hand go on being served', {
        count: entries.length,
        reason: describeError(error),
      });
      outcomes = [];
    }
    const slots = new Map(this.#slots);
    for (const [index, asked] of entries.entries()) {
      const slot = slots.get(asked.id);
      // The entry went or changed meanwhile: the answer is for something that is no more.
      if (slot === undefined || slot.entry.revision !== asked.revision) continue;
      slots.set(asked.id, this.#settle(slot, outcomes[index]));
    }
    this.#slots = slots;
  }

  #settle(slot: SvidSlot, outcome: IssueOutcome | undefined): SvidSlot {
    const { random, log } = this.#deps;
    const { id, spiffeId } = slot.entry;
    if (outcome?.kind === 'issued') {
      this.#refusals.delete(id);
      const { svid, notAfterMs } = outcome.svid;
      log.info('svid issued', { spiffeId, serial: svid.chain[0]?.serial, notAfterMs });
      return withSvid(slot, outcome.svid, this.#activeRoot(), this.#now(), random);
    }
    if (outcome === undefined) return withFailure(slot, 'unreachable', this.#now(), random);
    log.warn('an SVID was not issued', { entry: id, spiffeId, reason: outcome.reason });
    const { retryAfterMs, code } = outcome;
    this.#refusals.set(id, {
      atMs: this.#now().wallMs,
      reason: outcome.reason,
      ...(code === undefined ? {} : { code }),
    });
    return retryAfterMs === undefined
      ? withFailure(slot, 'refused', this.#now(), random)
      : withFailure(slot, 'overloaded', this.#now(), random, retryAfterMs);
  }

  /** Brings the slots up to the entries and the time, and publishes if what is held has changed. */
  #refresh(): void {
    const state = this.#deps.state.current();
    if (state !== undefined && state !== this.#applied) {
      // A workload that came or went is no word of the CA: what failed for its silence goes on waiting.
      const heard = state.revision !== this.#applied?.revision;
      this.#applied = state;
      const slots = this.#unpark(reconcileSlots(this.#slots, state.entries, state.taintedKeyIds));
      this.#slots = heard ? retryUnreachable(slots, this.#now(), this.#deps.random) : slots;
      for (const id of this.#refusals.keys()) if (!slots.has(id)) this.#refusals.delete(id);
    }
    this.#slots = withdrawExpired(this.#slots, this.#now());
    if (state !== undefined) this.#slots = withdrawRevoked(this.#slots, state.revokedSerials);
    // With thousands of slots each look costs milliseconds, and most wakings are for another reason.
    if (this.#slots === this.#looked && this.#expiry !== undefined) return;
    this.#looked = this.#slots;
    this.#publish();
    this.#watchExpiry();
  }

  /** Gives each entry what was restored for it. */
  #unpark(slots: SvidSlots): SvidSlots {
    if (this.#now().monotonicMs >= this.#parkedUntilMs) this.#parked.clear();
    if (this.#parked.size === 0) return slots;
    return new Map(
      [...slots].map(([id, slot]) => {
        const restored = this.#parked.get(id);
        if (restored === undefined) return [id, slot];
        this.#parked.delete(id);
        const fits = slot.held === undefined && restored.svid.id === slot.entry.spiffeId;
        return [id, fits ? { ...slot, held: restored } : slot];
      }),
    );
  }

  /** On a timer of its own: a certificate must go in time also while a call to the CA hangs. */
  #watchExpiry(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { held } of this.#slots.values()) {
      if (held !== undefined) nextMs = Math.min(nextMs, held.notAfterMs);
    }
    if (nextMs === Number.POSITIVE_INFINITY || this.#signal.aborted) return;
    const waitMs = Math.min(nextMs - this.#now().wallMs, recheckMs);
    this.#expiry = this.#deps.clock.after(waitMs, () => {
      this.#expiry = undefined;
      this.#refresh();
    });
  }

  #publish(): void {
    const before = this.svids.current();
    const after = new Map<string, EntrySvid>();
    let changes = 0;
    for (const [id, { held }] of this.#slots) {
      if (held === undefined) continue;
      after.set(id, held);
      if (before.get(id) !== held) changes += 1;
    }
    if (changes === 0 && before.size === after.size) return;
    for (const [id, held] of before) {
      if (!after.has(id)) this.#deps.log.info('svid withdrawn', { spiffeId: held.svid.id });
    }
    try {
      this.svids.set(after);
    } catch (error) {
      // A reader's fault must not stop the rotation that every other reader lives on.
      this.#deps.log.error('a reader of SVIDs failed', { reason: describeError(error) });
    }
  }

  async #waitForWork(): Promise<void> {
    const changed = new AbortController();
    const wake = (): void => changed.abort();
    const unsubscribe = this.#deps.state.subscribe(wake);
    this.#signal.addEventListener('abort', wake, { once: true });
    const waitMs = nextWakeMs(this.#slots, this.#activeRoot(), this.#now());
    await sleep(this.#deps.clock, Math.min(waitMs, recheckMs), changed.signal);
    this.#signal.removeEventListener('abort', wake);
    unsubscribe();
  }

  #activeRoot(): string {
    return this.#deps.state.current()?.activeRootKeyId ?? '';
  }

  #now(): Now {
    const { clock } = this.#deps;
    return { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
  }
}

// The CA takes 256 in one call; more calls in turn let other nodes in between.
const batchMax = 250;
// Wall time may jump; this is the most that a jump can delay a renewal or a withdrawal.
const recheckMs = 60_000;
// Workloads are there when an agent restarts; whoever comes later is asked for anew.
const parkedMs = 300_000;
