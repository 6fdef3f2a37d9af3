/** Which SVIDs to make, keep or withdraw, and when to look again: pure functions of slots and time. */

import { type BackoffPolicy, backoffMs, type Random } from '../../core/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import { cappedWaitMs, smearMs } from '../renewal-time.ts';
import { standsUnderTainted } from '../tainted-chain.ts';
import type { EntrySvid } from './entry-svid.ts';

/** One registration entry with what is held for it. */
export interface SvidSlot {
  readonly entry: AgentEntry;
  readonly held: EntrySvid | undefined;
  /** After failures: how many, and the monotonic time of the next try. */
  readonly retry: SvidRetry | undefined;
  /** Keys that an SVID may not go on standing under. */
  readonly taintedKeyIds?: ReadonlySet<string>;
}

export interface SvidRetry {
  readonly failures: number;
  readonly atMs: number;
  /**
   * Why: it refused; it did not answer, so that its return is the time to try again; it sent us away for
   * a while; or it has returned, and this is our place in the crowd.
   */
  readonly reason: 'refused' | 'unreachable' | 'overloaded' | 'smeared';
}

export type SvidSlots = ReadonlyMap<string, SvidSlot>;

export interface Now {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/**
 * The slots for `entries`: what is held stays, unless its entry is gone or names another identity. Where nothing
 * changes it is the slot itself that stays, and with all of them the slots themselves.
 */
export function reconcileSlots(
  slots: SvidSlots,
  entries: readonly AgentEntry[],
  taintedKeyIds: ReadonlySet<string> = nothingTainted,
): SvidSlots {
  const next = new Map<string, SvidSlot>();
  let changes = 0;
  for (const entry of entries) {
    const slot = slots.get(entry.id);
    if (slot !== undefined && slot.entry === entry && slot.taintedKeyIds === taintedKeyIds) {
      next.set(entry.id, slot);
      continue;
    }
    changes += 1;
    const held = slot?.held?.svid.id === entry.spiffeId ? slot.held : undefined;
    // A changed entry may succeed where the old one was refused.
    const retry = slot?.entry.revision === entry.revision ? slot.retry : undefined;
    next.set(entry.id, { entry, held, retry, taintedKeyIds });
  }
  return changes === 0 && next.size === slots.size ? slots : next;
}

/**
 * The CA has been heard of: what failed for its silence alone need not wait any longer. What is missing
 * is tried at once; renewals spread out, for the whole fleet has waited for this moment.
 */
export function retryUnreachable(slots: SvidSlots, now: Now, random: Random): SvidSlots {
  if (![...slots.values()].some((slot) => slot.retry?.reason === 'unreachable')) return slots;
  return new Map(
    [...slots].map(([id, slot]) => [
      id,
      slot.retry?.reason === 'unreachable' ? { ...slot, retry: smeared(slot, now, random) } : slot,
    ]),
  );
}

function smeared(slot: SvidSlot, now: Now, random: Random): SvidRetry | undefined {
  const waitMs = smearMs(lifeLeftMs(slot, now), random);
  if (waitMs === 0) return undefined;
  // No longer a wait for the CA: hearing of it again must not draw a new lot.
  return { failures: 0, atMs: now.monotonicMs + waitMs, reason: 'smeared' };
}

/** Slots without the SVIDs that have expired: an expired one is never presented. */
export function withdrawExpired(slots: SvidSlots, now: Now): SvidSlots {
  const expired = [...slots.values()].filter((slot) => isExpired(slot, now));
  if (expired.length === 0) return slots;
  const rest = new Map(slots);
  for (const slot of expired) rest.set(slot.entry.id, { ...slot, held: undefined });
  return rest;
}

/** Slots without the SVIDs that are revoked; each is asked for anew at once, and the CA says whether it may be. */
export function withdrawRevoked(slots: SvidSlots, revoked: ReadonlySet<string>): SvidSlots {
  if (revoked.size === 0) return slots;
  const gone = [...slots.values()].filter(({ held }) => {
    const serial = held?.svid.chain[0]?.serial;
    return serial !== undefined && revoked.has(serial);
  });
  if (gone.length === 0) return slots;
  const rest = new Map(slots);
  for (const slot of gone) rest.set(slot.entry.id, { ...slot, held: undefined, retry: undefined });
  return rest;
}

/** At most `limit` slots to issue for now: those with nothing first, then by how soon they expire. */
export function dueSlots(
  slots: SvidSlots,
  activeRootKeyId: string,
  now: Now,
  limit: number,
): readonly SvidSlot[] {
  return [...slots.values()]
    .filter((slot) => needsIssuing(slot, activeRootKeyId, now))
    .filter((slot) => slot.retry === undefined || now.monotonicMs >= slot.retry.atMs)
    .toSorted((left, right) => (left.held?.notAfterMs ?? 0) - (right.held?.notAfterMs ?? 0))
    .slice(0, limit);
}

/** How long until something is due or expires; Infinity if nothing ever will without a change. */
export function nextWakeMs(slots: SvidSlots, activeRootKeyId: string, now: Now): number {
  let soonest = Number.POSITIVE_INFINITY;
  for (const slot of slots.values()) {
    if (slot.held !== undefined) soonest = Math.min(soonest, slot.held.notAfterMs - now.wallMs);
    soonest = Math.min(soonest, dueInMs(slot, activeRootKeyId, now));
  }
  return Math.max(0, soonest);
}

/**
 * The slot with a new SVID. One that is due again at once (the CA signs under another root than it says)
 * counts as a failure, so that the two do not chase each other.
 */
export function withSvid(
  slot: SvidSlot,
  held: EntrySvid,
  activeRootKeyId: string,
  now: Now,
  random: Random,
): SvidSlot {
  const renewed: SvidSlot = { ...slot, held };
  return needsIssuing(renewed, activeRootKeyId, now)
    ? withFailure(renewed, 'refused', now, random)
    : { ...renewed, retry: undefined };
}

/** The slot after a try that failed. `hintMs` is when the CA said that it will have time. */
export function withFailure(
  slot: SvidSlot,
  reason: Exclude<SvidRetry['reason'], 'smeared'>,
  now: Now,
  random: Random,
  hintMs = 0,
): SvidSlot {
  const failures = slot.retry?.failures ?? 0;
  const leftMs = lifeLeftMs(slot, now);
  // Spread out while the CA is away: its return may be noticed by this try before Sync tells of it.
  const apartMs = reason === 'unreachable' ? smearMs(leftMs, random) : 0;
  // Above the hint, never below it: whoever was sent away with the same hint must not return together.
  const hintedMs = hintMs * (1 + random.fraction());
  const waitMs = Math.max(hintedMs, apartMs, backoffMs(issueBackoff, failures, random));
  const atMs = now.monotonicMs + cappedWaitMs(waitMs, leftMs);
  return { ...slot, retry: { failures: failures + 1, atMs, reason } };
}

/** How long what is held is still good for; 0 if nothing is. */
function lifeLeftMs({ held }: SvidSlot, now: Now): number {
  return held === undefined ? 0 : Math.max(0, held.notAfterMs - now.wallMs);
}

function needsIssuing(slot: SvidSlot, activeRootKeyId: string, now: Now): boolean {
  const { entry, held, taintedKeyIds = nothingTainted } = slot;
  if (held === undefined || held.entryRevision !== entry.revision) return true;
  if (activeRootKeyId !== '' && held.rootKeyId !== activeRootKeyId) return true;
  if (standsUnderTainted(held.svid.chain, held.rootKeyId, taintedKeyIds)) return true;
  return now.wallMs >= held.renewAtMs;
}

function dueInMs(slot: SvidSlot, activeRootKeyId: string, now: Now): number {
  const neededInMs = needsIssuing(slot, activeRootKeyId, now)
    ? 0
    : (slot.held?.renewAtMs ?? 0) - now.wallMs;
  const retryInMs = slot.retry === undefined ? 0 : slot.retry.atMs - now.monotonicMs;
  return Math.max(neededInMs, retryInMs);
}

function isExpired({ held }: SvidSlot, now: Now): boolean {
  return held !== undefined && now.wallMs >= held.notAfterMs;
}

// A CA that restarts is back in seconds and short SVIDs cannot wait longer than this.
const issueBackoff: BackoffPolicy = { baseMs: 100, maxMs: 5000 };
const nothingTainted: ReadonlySet<string> = new Set();
