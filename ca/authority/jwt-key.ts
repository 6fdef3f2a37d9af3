/**
 * JWT keys as values: their states and what is due. A JWT carries no chain, so a verifier must have a key
 * before it meets a token under it: a key is in the bundle first, and signs when the bundle has arrived.
 */

import type { KeyObject } from 'node:crypto';
import type { ClockTrust } from './clock-trust.ts';

/**
 * prepared (in the bundle) → published (the nodes have that bundle) → active (signs) → draining (signs
 * nothing, still in the bundle) → gone, when no token under it is alive.
 */
export type JwtKeyState = 'prepared' | 'published' | 'active' | 'draining';

export interface JwtKey {
  /** Lower hexadecimal key id: the `kid` of its tokens (SPIFFE JWT-SVID §2.1). */
  readonly id: string;
  readonly state: JwtKeyState;
  readonly publicKey: KeyObject;
  readonly preparedAtMs: number;
  /** The CA prepared it by itself, and so goes on with it by itself. */
  readonly isAutomatic?: true;
  readonly publishedAtMs?: number;
  readonly activatedAtMs?: number;
  /** Its private half is not to be relied on: it signs nothing any more. */
  readonly taintedAtMs?: number;
  /** It stands in for a tainted one: it signs as soon as it has arrived, and then at the latest. */
  readonly takesOverByMs?: number;
  /** No token under it lives longer than this from when it was signed. */
  readonly tokenMsMax?: number;
  /** Since it signs nothing any more: no token under it ends later than this. */
  readonly lastTokenNotAfterMs?: number;
  readonly notAfterMs: number;
}

export interface JwtKeySet {
  readonly keys: readonly JwtKey[];
  /** Grows with every change of the keys in the bundle. */
  readonly sequence: bigint;
}

export const emptyJwtKeySet: JwtKeySet = { keys: [], sequence: 0n };

export type DueJwtKeyStep =
  | { readonly kind: 'begin' }
  | { readonly kind: 'prepare' }
  | { readonly kind: 'publish'; readonly id: string }
  | { readonly kind: 'activate'; readonly id: string }
  | { readonly kind: 'retire'; readonly id: string };

export function activeJwtKey({ keys }: JwtKeySet): JwtKey | undefined {
  return keys.find(({ state }) => state === 'active');
}

/** The key that is to sign next: in the bundle already, not signing yet. */
export function waitingJwtKey({ keys }: JwtKeySet): JwtKey | undefined {
  return keys.find(({ state }) => state === 'prepared' || state === 'published');
}

/**
 * One step at a time: each is stored before the next is asked for. While the time is in doubt keys are made and
 * moved only if nothing signs: what that does is at worst too early, and takes nothing from anybody. A key
 * leaves the bundle only when the time is sure.
 */
export function dueJwtKeyStep(
  set: JwtKeySet,
  nowMs: number,
  hasArrived: (id: string) => boolean,
  automatic = true,
  clockTrust: ClockTrust = 'sure',
): DueJwtKeyStep | undefined {
  if (clockTrust === 'wrong') return undefined;
  const ended = set.keys.find((key) => key.state !== 'active' && endOfTokensMs(key) <= nowMs);
  if (ended !== undefined && clockTrust === 'sure') return { kind: 'retire', id: ended.id };
  const active = activeJwtKey(set);
  const waiting = waitingJwtKey(set);
  if (active === undefined || active.notAfterMs <= nowMs) {
    if (waiting === undefined) return { kind: 'begin' };
    return dueTakeover(waiting, nowMs, hasArrived);
  }
  if (clockTrust === 'doubtful') return undefined;
  if (waiting === undefined) {
    const isDue = halfLifeMs(active) <= nowMs || isAhead(active, nowMs);
    return automatic && isDue ? { kind: 'prepare' } : undefined;
  }
  if (waiting.state === 'prepared') {
    return hasArrived(waiting.id) ? { kind: 'publish', id: waiting.id } : undefined;
  }
  // A rotation that an operator began waits for the operator.
  const goesOn = waiting.isAutomatic === true && settledMs(waiting) <= nowMs;
  return goesOn ? { kind: 'activate', id: waiting.id } : undefined;
}

/** Nothing signs. Under an ended key nothing is valid any more, so waiting longer would help nobody. */
function dueTakeover(
  waiting: JwtKey,
  nowMs: number,
  hasArrived: (id: string) => boolean,
): DueJwtKeyStep | undefined {
  const { id, state, takesOverByMs = nowMs } = waiting;
  if (state === 'published' || takesOverByMs <= nowMs) return { kind: 'activate', id };
  return hasArrived(id) ? { kind: 'publish', id } : undefined;
}

/** `key` is new in the bundle; one that begins at once signs at once. */
export function withJwtKey(set: JwtKeySet, key: JwtKey, nowMs: number): JwtKeySet {
  const keys = key.state === 'active' ? set.keys.map((each) => drained(each, nowMs)) : set.keys;
  return { keys: [...keys, key], sequence: set.sequence + 1n };
}

/** Some fields of one key changed. */
export function withChangedJwtKey(set: JwtKeySet, id: string, change: Partial<JwtKey>): JwtKeySet {
  return { ...set, keys: set.keys.map((key) => (key.id === id ? { ...key, ...change } : key)) };
}

export function withActivatedJwtKey(set: JwtKeySet, id: string, nowMs: number): JwtKeySet {
  const keys = set.keys.map(
    (key): JwtKey =>
      key.id === id ? { ...key, state: 'active', activatedAtMs: nowMs } : drained(key, nowMs),
  );
  return { ...set, keys };
}

/** It signs nothing from now on; `successor` signs as soon as it may. */
export function withTaintedJwtKey(set: JwtKeySet, id: string, nowMs: number): JwtKeySet {
  const keys = set.keys.map(
    (key): JwtKey => (key.id === id ? { ...drained(key, nowMs), taintedAtMs: nowMs } : key),
  );
  return { ...set, keys };
}

export function withoutJwtKey(set: JwtKeySet, id: string): JwtKeySet {
  return { keys: set.keys.filter((key) => key.id !== id), sequence: set.sequence + 1n };
}

/** From when on no token under it is alive; that last second is included, as with certificates. */
export function endOfTokensMs({ lastTokenNotAfterMs, notAfterMs }: JwtKey): number {
  return (lastTokenNotAfterMs ?? notAfterMs) + 1000;
}

/** Agents acknowledge; verifiers that only poll the document are given the time of its refresh hint. */
export function settledMs({ publishedAtMs = 0, preparedAtMs, notAfterMs }: JwtKey): number {
  return publishedAtMs + Math.min(pollMsMax, (notAfterMs - preparedAtMs) / 8);
}

function drained(key: JwtKey, nowMs: number): JwtKey {
  if (key.state !== 'active') return key;
  const { tokenMsMax, notAfterMs } = key;
  const lastMs = Math.min(notAfterMs, nowMs + (tokenMsMax ?? Number.POSITIVE_INFINITY));
  return { ...key, state: 'draining', lastTokenNotAfterMs: lastMs };
}

/** Made while the clock was ahead: it would sign for as much longer than a key may. */
function isAhead({ preparedAtMs, notAfterMs }: JwtKey, nowMs: number): boolean {
  return preparedAtMs - nowMs > (notAfterMs - preparedAtMs) / 8;
}

function halfLifeMs({ activatedAtMs, preparedAtMs, notAfterMs }: JwtKey): number {
  const beginMs = activatedAtMs ?? preparedAtMs;
  return beginMs + (notAfterMs - beginMs) / 2;
}

// The refresh hint of our bundle document: whoever polls has looked again after this long.
const pollMsMax = 300_000;
