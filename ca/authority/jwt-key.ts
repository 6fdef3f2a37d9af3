/**
 * JWT keys as values: their states and what is due. A JWT carries no chain, so a verifier must have a key
 * before it meets a token under it: a key is in the bundle first, and signs when the bundle has arrived.
 */

import type { KeyObject } from 'node:crypto';

/**
 * prepared (in the bundle) → published (the nodes have that bundle) → active (signs) → draining (signs
 * nothing, still in the bundle) → gone with its own end, which no token under it outlives.
 */
export type JwtKeyState = 'prepared' | 'published' | 'active' | 'draining';

export interface JwtKey {
  /** Lower hexadecimal key id: the `kid` of its tokens (SPIFFE JWT-SVID §2.1). */
  readonly id: string;
  readonly state: JwtKeyState;
  readonly publicKey: KeyObject;
  readonly preparedAtMs: number;
  readonly publishedAtMs?: number;
  readonly activatedAtMs?: number;
  readonly notAfterMs: number;
}

export interface JwtKeySet {
  readonly keys: readonly JwtKey[];
  /** Grows with every change of the keys in the bundle. */
  readonly sequence: bigint;
}

export const emptyJwtKeySet: JwtKeySet = { keys: [], sequence: 0n };

export type JwtKeyStep =
  | { readonly kind: 'begin' }
  | { readonly kind: 'prepare' }
  | { readonly kind: 'publish'; readonly id: string }
  | { readonly kind: 'activate'; readonly id: string }
  | { readonly kind: 'retire'; readonly id: string };

export function activeJwtKey({ keys }: JwtKeySet): JwtKey | undefined {
  return keys.find(({ state }) => state === 'active');
}

/** One step at a time: each is stored before the next is asked for. */
export function dueJwtKeyStep(
  set: JwtKeySet,
  nowMs: number,
  hasArrived: (id: string) => boolean,
): JwtKeyStep | undefined {
  const ended = set.keys.find((key) => key.state !== 'active' && key.notAfterMs < nowMs);
  if (ended !== undefined) return { kind: 'retire', id: ended.id };
  const active = activeJwtKey(set);
  const waiting = set.keys.find(({ state }) => state === 'prepared' || state === 'published');
  if (active === undefined || active.notAfterMs <= nowMs) {
    // Nothing under an ended key is valid any more: waiting longer would help nobody.
    return waiting === undefined ? { kind: 'begin' } : { kind: 'activate', id: waiting.id };
  }
  if (waiting === undefined) {
    return halfLifeMs(active) <= nowMs ? { kind: 'prepare' } : undefined;
  }
  if (waiting.state === 'prepared') {
    return hasArrived(waiting.id) ? { kind: 'publish', id: waiting.id } : undefined;
  }
  return settledMs(waiting) <= nowMs ? { kind: 'activate', id: waiting.id } : undefined;
}

/** `key` is new in the bundle; one that begins at once signs at once. */
export function withJwtKey(set: JwtKeySet, key: JwtKey): JwtKeySet {
  const keys = key.state === 'active' ? set.keys.map(drained) : set.keys;
  return { keys: [...keys, key], sequence: set.sequence + 1n };
}

export function withPublishedJwtKey(set: JwtKeySet, id: string, nowMs: number): JwtKeySet {
  const keys = set.keys.map(
    (key): JwtKey => (key.id === id ? { ...key, state: 'published', publishedAtMs: nowMs } : key),
  );
  return { ...set, keys };
}

export function withActivatedJwtKey(set: JwtKeySet, id: string, nowMs: number): JwtKeySet {
  const keys = set.keys.map(
    (key): JwtKey =>
      key.id === id ? { ...key, state: 'active', activatedAtMs: nowMs } : drained(key),
  );
  return { ...set, keys };
}

export function withoutJwtKey(set: JwtKeySet, id: string): JwtKeySet {
  return { keys: set.keys.filter((key) => key.id !== id), sequence: set.sequence + 1n };
}

function drained(key: JwtKey): JwtKey {
  return key.state === 'active' ? { ...key, state: 'draining' } : key;
}

function halfLifeMs({ activatedAtMs, preparedAtMs, notAfterMs }: JwtKey): number {
  const beginMs = activatedAtMs ?? preparedAtMs;
  return beginMs + (notAfterMs - beginMs) / 2;
}

/** Agents acknowledge; verifiers that only poll the document are given the time of its refresh hint. */
function settledMs({ publishedAtMs = 0, preparedAtMs, notAfterMs }: JwtKey): number {
  return publishedAtMs + Math.min(pollMsMax, (notAfterMs - preparedAtMs) / 8);
}

// The refresh hint of our bundle document: whoever polls has looked again after this long.
const pollMsMax = 300_000;
