/** Minting a JWT-SVID: from an entry and its audience to a signed token, in the order of the issuance cycle. */

import { Buffer } from 'node:buffer';
import { type Clock, type Random, toHex, utf8Bytes } from '../../core/index.ts';
import { audienceFault, type SpiffeId } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor, AuditedToken } from '../audit/event.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import type { CurrentJwtKey, JwtKeys } from '../authority/jwt-keys.ts';
import {
  type IssuanceRefusal,
  type IssuanceRefusalCode,
  refuse,
} from '../issuance/issuance-refusal.ts';
import { judgeByPolicy, type PolicyJudge } from '../issuance/policy.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { jwsSigner } from './jws-signer.ts';
import type { JwtConfig } from './jwt-config.ts';

export interface MintDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly keys: JwtKeys;
  readonly audit: AuditLog;
  readonly lifetimes: JwtConfig;
  /** The operator's policy; absent if there is none. */
  readonly policy?: PolicyJudge;
  /** Why nothing is issued for this ID, if an operator blocked it. */
  readonly whyBlocked?: (id: SpiffeId) => string | undefined;
  /** Whether the store itself has this node, and not banned; asked before a token leaves for one. */
  readonly nodeStands?: (id: SpiffeId) => Promise<boolean>;
  /** `iss`, where an OIDC discovery document says who that is. */
  readonly issuer?: string;
  readonly observer?: MintObserver;
}

export interface MintObserver {
  /** `failed`: no fault of the request. */
  ended(outcome: 'minted' | 'failed' | IssuanceRefusalCode, elapsedMs: number): void;
}

export interface MintRequest {
  /** On whose word: the node that serves the workload, or an operator. */
  readonly actor: Actor;
  /** The entry, which the actor has been found to be entitled to. */
  readonly entry: RegistrationEntry;
  readonly nodeId?: SpiffeId;
  /** The entry was derived from what an agent attests of the workload: its selectors go on record. */
  readonly isDerived?: boolean;
  readonly audience: readonly string[];
  /** Absent: the default. */
  readonly ttlMs?: number;
}

export interface MintedJwtSvid {
  readonly kind: 'minted';
  readonly token: string;
  readonly id: SpiffeId;
  readonly jti: string;
  readonly expiresAtMs: number;
}

/** Mints one token, or says why not; either is in the audit log before it is answered. */
export async function mintJwtSvid(
  deps: MintDeps,
  request: MintRequest,
): Promise<MintedJwtSvid | IssuanceRefusal> {
  const beganMs = deps.clock.monotonicMs();
  let ended: 'minted' | 'failed' | IssuanceRefusalCode = 'failed';
  try {
    const outcome = await mint(deps, request);
    if (outcome.kind === 'refused') await recordRefusal(deps, request, outcome);
    ended = outcome.kind === 'refused' ? outcome.code : 'minted';
    return outcome;
  } finally {
    deps.observer?.ended(ended, deps.clock.monotonicMs() - beganMs);
  }
}

async function mint(
  deps: MintDeps,
  { actor, entry, nodeId, isDerived = false, audience, ttlMs: asked }: MintRequest,
): Promise<MintedJwtSvid | IssuanceRefusal> {
  const fault = audienceFault(audience);
  if (fault !== undefined) return refuse('invalid_argument', 'audience_invalid', fault);
  const blocked = deps.whyBlocked?.(entry.spiffeId);
  if (blocked !== undefined) return refuse('permission_denied', 'id_blocked', blocked);
  const key = currentKey(deps.keys);
  if (key.kind === 'refused') return key;
  const { kid, signer, notAfterMs } = key.current;

  // Whole seconds (RFC 7519 §2 allows fractions, some readers do not). Never past the key's own end, with
  // which it leaves the bundle, nor past the entry's: a token cannot be called back.
  const { ttlMs: usual, ttlMsMax } = deps.lifetimes;
  const issuedAt = Math.floor(deps.clock.wallMs() / 1000);
  const { jwtSvidTtlMs: entryMs = ttlMsMax } = entry;
  const lifeMs = Math.min(asked ?? entry.jwtSvidTtlMs ?? usual, entryMs, ttlMsMax);
  const wanted = issuedAt + Math.max(1, Math.floor(lifeMs / 1000));
  const endMs = Math.min(notAfterMs, entry.expiresAtMs ?? Infinity);
  const expiresAt = Math.min(wanted, Math.floor(endMs / 1000));
  if (expiresAt <= issuedAt) {
    return refuse('unavailable', 'jwt_key_ended', 'the key, or the entry, is about to end');
  }

  // The policy judges what will be in the token, not what was asked for.
  const allowed = judgeByPolicy(deps.policy, {
    ...(nodeId === undefined ? {} : { nodeId }),
    entry,
    kind: 'jwt',
    ttlMs: (expiresAt - issuedAt) * 1000,
    audience,
  });
  if (allowed.kind === 'refused') return allowed;

  const jti = toHex(deps.random.bytes(jtiOctets));
  const claims = {
    // Always a list: the general case of RFC 7519 §4.1.3, which every reader has to know.
    aud: audience,
    exp: expiresAt,
    iat: issuedAt,
    ...(deps.issuer === undefined ? {} : { iss: deps.issuer }),
    jti,
    sub: entry.spiffeId,
  };
  const token = await signCompact(claims, kid, signer);

  // If it cannot be recorded the token never leaves.
  await deps.audit.append({
    actor,
    type: 'jwt.issued',
    token: {
      ...auditedToken(claims, kid, entry),
      ...(isDerived ? { workloadSelectors: entry.selectors } : {}),
    },
    ...(allowed.policy === undefined ? {} : { policy: allowed.policy }),
  });
  // Unless its node was removed, or its ID blocked, while it was made: who removes a node ends what it may have,
  // and a token cannot be called back.
  if (nodeId !== undefined && (await deps.nodeStands?.(nodeId)) === false) {
    return refuse('permission_denied', 'node_unknown', `node ${nodeId} was removed meanwhile`);
  }
  const blockedSince = deps.whyBlocked?.(entry.spiffeId);
  if (blockedSince !== undefined) return refuse('permission_denied', 'id_blocked', blockedSince);
  return { kind: 'minted', token, id: entry.spiffeId, jti, expiresAtMs: expiresAt * 1000 };
}

function currentKey(
  keys: JwtKeys,
): { readonly kind: 'current'; readonly current: CurrentJwtKey } | IssuanceRefusal {
  try {
    return { kind: 'current', current: keys.current() };
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    return refuse('unavailable', 'jwt_key_ended', error.message);
  }
}

/** J-1, J-3: the compact serialization, with the three members that a header may have. */
async function signCompact(
  claims: object,
  kid: string,
  signer: CurrentJwtKey['signer'],
): Promise<string> {
  const jws = jwsSigner(signer);
  const header = encodePart(utf8Bytes(JSON.stringify({ alg: jws.algorithm, kid, typ: 'JWT' })));
  const signed = `${header}.${encodePart(utf8Bytes(JSON.stringify(claims)))}`;
  return `${signed}.${encodePart(await jws.sign(utf8Bytes(signed)))}`;
}

function encodePart(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function auditedToken(
  claims: { jti: string; aud: readonly string[]; iat: number; exp: number },
  keyId: string,
  { id, spiffeId }: RegistrationEntry,
): AuditedToken {
  return {
    jti: claims.jti,
    spiffeId,
    audience: claims.aud,
    issuedAt: new Date(claims.iat * 1000).toISOString(),
    expiresAt: new Date(claims.exp * 1000).toISOString(),
    keyId,
    entryId: id,
  };
}

async function recordRefusal(
  { audit }: MintDeps,
  { actor, entry, audience }: MintRequest,
  { code, detail, policy }: IssuanceRefusal,
): Promise<void> {
  await audit.append({
    actor,
    type: 'jwt.denied',
    refusal: { code, detail },
    entryId: entry.id,
    spiffeId: entry.spiffeId,
    // What is wrong with an audience is in the detail; a wrong one may be of any size.
    audience: code === 'audience_invalid' ? [] : audience,
    ...(policy === undefined ? {} : { policy }),
  });
}

// 128 bits: two tokens with one jti are not to be expected while the sun shines.
const jtiOctets = 16;
