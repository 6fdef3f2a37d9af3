/**
 * A join token: a secret an operator carries to a new node, good for one node.
 *
 * Its text is `<id>.<secret>`. The CA keeps only the hash, so a copy of the store attests nobody.
 */

import { hash, timingSafeEqual } from 'node:crypto';
import { type Random, toHex } from '../../core/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';

export interface JoinToken {
  readonly id: string;
  /** Lower hexadecimal SHA-256 of the token's whole text. */
  readonly tokenSha256: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** A second name for the node that uses it, which entries may have as their parent. */
  readonly aliasId?: SpiffeId;
  readonly used?: JoinTokenUse;
}

export interface JoinTokenUse {
  readonly nodeId: SpiffeId;
  /** Lower hexadecimal SHA-256 of the CSR's subjectPublicKeyInfo: binds the token to one key. */
  readonly spkiSha256: string;
  readonly atMs: number;
}

export type JoinTokenVerdict =
  /** Store `token` with a compare, so that of two first uses one wins. */
  | { readonly kind: 'first_use'; readonly token: JoinToken }
  /** The same key again: an answer was lost, or the node comes back. Nothing is to be stored. */
  | { readonly kind: 'repeat'; readonly token: JoinToken }
  | { readonly kind: 'refused'; readonly code: JoinTokenRefusal; readonly detail: string };

export type JoinTokenRefusal = 'token_unknown' | 'token_expired' | 'token_used';

/** A new token; `text` is shown once and kept nowhere. */
export function createJoinToken(p: {
  readonly random: Random;
  readonly nowMs: number;
  readonly ttlMs: number;
  readonly aliasId?: SpiffeId;
}): { readonly text: string; readonly token: JoinToken } {
  const id = toHex(p.random.bytes(idBytes));
  const text = `${id}.${Buffer.from(p.random.bytes(secretBytes)).toString('base64url')}`;
  const token: JoinToken = {
    id,
    tokenSha256: hash('sha256', text, 'hex'),
    createdAtMs: p.nowMs,
    expiresAtMs: p.nowMs + p.ttlMs,
    ...(p.aliasId === undefined ? {} : { aliasId: p.aliasId }),
  };
  return { text, token };
}

/** Whether the text can be a token's id at all. */
export function isJoinTokenId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

/** The id in a token's text, or undefined if the text has not a token's form. */
export function joinTokenIdOf(text: string): string | undefined {
  return textPattern.exec(text)?.[1];
}

/**
 * Judges a use of `stored` (undefined: no such token) by a node that proved the key of `spkiSha256`.
 *
 * The same text with the same key is taken again: for a while after the first use, since a lost answer must
 * not lock a node out, and for as long as the node is registered, so that one whose SVID ended in an outage
 * comes back. That makes no standing credential of the token: alone it is worth nothing, the key never leaves
 * the agent, and who has the agent's memory can renew without either. It ends with the node's place, which an
 * operator takes. To have Renew accept ended certificates instead would move a line that every other check
 * relies on, and would need an end of its own. With another key a token is refused for good.
 */
export function useJoinToken(
  stored: JoinToken | undefined,
  use: {
    readonly text: string;
    readonly spkiSha256: string;
    readonly nodeId: SpiffeId;
    /** Whether the node that used it has its place still. */
    readonly isRegistered: boolean;
    readonly nowMs: number;
  },
): JoinTokenVerdict {
  // One answer for a wrong id and a wrong secret: the ids that exist are nobody's business.
  if (stored === undefined || !isTextOf(stored, use.text)) {
    return refused('token_unknown', 'no such join token; it may have been mistyped or removed');
  }
  if (stored.used !== undefined) return judgeRepeat(stored, stored.used, use);
  if (use.nowMs >= stored.expiresAtMs) {
    return refused(
      'token_expired',
      `join token ${stored.id} expired at ${new Date(stored.expiresAtMs).toISOString()}`,
    );
  }
  const used = { nodeId: use.nodeId, spkiSha256: use.spkiSha256, atMs: use.nowMs };
  return { kind: 'first_use', token: { ...stored, used } };
}

function judgeRepeat(
  stored: JoinToken,
  used: JoinTokenUse,
  use: { readonly spkiSha256: string; readonly isRegistered: boolean; readonly nowMs: number },
): JoinTokenVerdict {
  if (used.spkiSha256 !== use.spkiSha256) {
    return refused('token_used', `join token ${stored.id} was used by ${used.nodeId}`);
  }
  // A node that never came to its place has a first answer to wait for, and no more.
  if (!use.isRegistered && use.nowMs >= used.atMs + repeatMsMax) {
    return refused(
      'token_used',
      `join token ${stored.id} was used by this key at ${new Date(used.atMs).toISOString()}`,
    );
  }
  return { kind: 'repeat', token: stored };
}

function isTextOf(stored: JoinToken, text: string): boolean {
  const given = Buffer.from(hash('sha256', text, 'hex'));
  const kept = Buffer.from(stored.tokenSha256);
  return given.length === kept.length && timingSafeEqual(given, kept);
}

function refused(code: JoinTokenRefusal, detail: string): JoinTokenVerdict {
  return { kind: 'refused', code, detail };
}

const textPattern = /^([0-9a-f]{16})\.[A-Za-z0-9_-]{43}$/;
const idBytes = 8;
// 256 random bits: a plain hash is enough to keep them secret.
const secretBytes = 32;
// An agent that lost the answer retries with backoff for minutes, not hours.
const repeatMsMax = 10 * 60_000;
