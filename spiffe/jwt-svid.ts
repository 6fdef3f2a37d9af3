/** A JWT-SVID, and its validation against bundles with the time as an argument (JWT-SVID §2 to §5, J-1 to J-5). */

import { readCompactJws } from './compact-jws.ts';
import type { BundleSet } from './bundle.ts';
import { fitsKey, verifyJws } from './jwt-algorithm.ts';
import { type JwtRefusal, refuseJwt } from './jwt-refusal.ts';
import { isSpiffeId, type SpiffeId, trustDomainOf } from './spiffe-id.ts';

export interface JwtSvid {
  readonly kind: 'valid';
  readonly id: SpiffeId;
  /** `aud`, always as a list. */
  readonly audience: readonly string[];
  readonly expiresAtMs: number;
  readonly keyId: string;
  /** Every claim of the token, as it stands there. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface VerifyJwtSvidOptions {
  readonly token: string;
  /** The validator's own name: it must be among the token's audiences. */
  readonly audience: string;
  readonly bundles: BundleSet;
  readonly atMs: number;
  /** How far the issuer's clock may be off; none by default. */
  readonly leewayMs?: number;
}

/**
 * The identity in a token, or why it has none. Nothing of the token is believed before its signature
 * holds, save the names by which the key is found.
 *
 * @example
 * const verdict = verifyJwtSvid({ token, audience: 'orders', bundles, atMs: clock.wallMs() });
 * if (verdict.kind === 'valid') log.info('called', { by: verdict.id });
 */
export function verifyJwtSvid(options: VerifyJwtSvidOptions): JwtSvid | JwtRefusal {
  const jws = readCompactJws(options.token);
  if (jws.kind === 'refused') return jws;
  const { claims, keyId, algorithm } = jws;

  // J-4: the subject is the SPIFFE ID, and says whose bundle has the key (never a pool of them).
  const id = claims['sub'];
  if (typeof id !== 'string' || !isSpiffeId(id)) {
    return refuseJwt('jwt_subject', 'sub is not a SPIFFE ID');
  }
  const trustDomain = trustDomainOf(id);
  const bundle = options.bundles.get(trustDomain);
  if (bundle === undefined) {
    return refuseJwt('jwt_trust_domain', `there is no bundle for trust domain ${trustDomain}`);
  }
  const authority = bundle.jwtAuthorities.find((each) => each.keyId === keyId);
  if (authority === undefined) {
    return refuseJwt(
      'jwt_authority',
      `no JWT authority of ${trustDomain} has key ID ${JSON.stringify(keyId)}`,
    );
  }
  if (!fitsKey(algorithm, authority.publicKey)) {
    return refuseJwt('jwt_algorithm', `${algorithm} does not fit key ${JSON.stringify(keyId)}`);
  }
  if (!verifyJws({ ...jws, key: authority.publicKey })) {
    return refuseJwt('jwt_signature', `the signature is not that of key ${JSON.stringify(keyId)}`);
  }

  const audience = audienceOf(claims['aud']);
  if (audience === undefined) {
    return refuseJwt('jwt_audience', 'aud is not a text or a list of texts with one at least');
  }
  if (!audience.includes(options.audience)) {
    return refuseJwt('jwt_audience', `${JSON.stringify(options.audience)} is not among aud`);
  }
  const times = judgeTimes(claims, options.atMs, options.leewayMs ?? 0);
  if (times.kind === 'refused') return times;
  return { kind: 'valid', id, audience, expiresAtMs: times.expiresAtMs, keyId, claims };
}

type Claims = JwtSvid['claims'];

// RFC 7519 §4.1.3: one audience may stand alone.
function audienceOf(value: unknown): readonly string[] | undefined {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.every((each) => typeof each === 'string' && each !== '')
    ? list.filter((each) => typeof each === 'string')
    : undefined;
}

// J-4: `exp` must be there. RFC 7519 §4.1.4: on or after it a token is not accepted.
function judgeTimes(
  claims: Claims,
  atMs: number,
  leewayMs: number,
): { readonly kind: 'within'; readonly expiresAtMs: number } | JwtRefusal {
  const { exp, nbf, iat } = claims;
  if (!isDate(exp)) return refuseJwt('jwt_claims', 'exp is missing or no number of seconds');
  for (const [name, value] of Object.entries({ nbf, iat })) {
    if (value !== undefined && !isDate(value)) {
      return refuseJwt('jwt_claims', `${name} is no number of seconds`);
    }
  }
  const expiresAtMs = exp * 1000;
  if (atMs - leewayMs >= expiresAtMs) {
    return refuseJwt('jwt_expired', `the token ended at ${new Date(expiresAtMs).toISOString()}`);
  }
  if (isDate(nbf) && atMs + leewayMs < nbf * 1000) {
    return refuseJwt('jwt_not_yet', `the token begins at ${new Date(nbf * 1000).toISOString()}`);
  }
  return { kind: 'within', expiresAtMs };
}

// RFC 7519 §2, NumericDate. The bound is what a Date can hold.
function isDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= dateSecondsMax;
}

const dateSecondsMax = 8_640_000_000_000;
