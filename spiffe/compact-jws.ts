/** The JWS compact serialization as JWT-SVID §2 allows it: three parts, and a header of three members at most. */

import { Buffer } from 'node:buffer';
import { utf8Bytes } from '../core/index.ts';
import { isJwtAlgorithm, type JwtAlgorithm, jwtAlgorithms } from './jwt-algorithm.ts';
import { type JwtRefusal, refuseJwt } from './jwt-refusal.ts';

/** A token taken apart, its signature not yet verified. */
export interface CompactJws {
  readonly kind: 'read';
  readonly algorithm: JwtAlgorithm;
  readonly keyId: string;
  readonly claims: JsonObject;
  /** What the signature is over: header and claims as they were sent (RFC 7515 §5.2). */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function readCompactJws(token: string): CompactJws | JwtRefusal {
  // Length first, so that nothing below walks unbounded input.
  if (token.length > tokenLengthMax) {
    return refuseJwt('jwt_size', `${token.length} characters, at most ${tokenLengthMax} are read`);
  }
  // J-1: the JSON serialization is not taken, and five parts are an encrypted token.
  const parts = token.split('.');
  const [header = '', claims = '', signature = ''] = parts;
  if (parts.length !== 3) {
    return refuseJwt('jwt_form', `the token has ${parts.length} parts, a JWS has three`);
  }
  const signatureBytes = decodePart(signature);
  if (signatureBytes === undefined || signatureBytes.length === 0) {
    return refuseJwt('jwt_form', 'the signature is not base64url');
  }
  const headerObject = decodeObject(header);
  if (headerObject === undefined) return refuseJwt('jwt_form', 'the header is not a JSON object');
  const read = readHeader(headerObject);
  if (read.kind === 'refused') return read;
  const claimsObject = decodeObject(claims);
  if (claimsObject === undefined) return refuseJwt('jwt_form', 'the claims are not a JSON object');
  return {
    ...read,
    claims: claimsObject,
    signed: utf8Bytes(`${header}.${claims}`),
    signature: signatureBytes,
  };
}

function readHeader(
  header: JsonObject,
): Pick<CompactJws, 'kind' | 'algorithm' | 'keyId'> | JwtRefusal {
  // J-3: so no `crit`, and no `jwk`, `jku` or `x5c` by which a token could bring its own key.
  const foreign = Object.keys(header).find((name) => !headerMembers.has(name));
  if (foreign !== undefined) {
    return refuseJwt('jwt_header', `the header may not have ${JSON.stringify(foreign)}`);
  }
  const { alg, kid, typ } = header;
  if (!isJwtAlgorithm(alg)) {
    return refuseJwt('jwt_algorithm', `alg is none of ${jwtAlgorithms.join(', ')}`);
  }
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') {
    return refuseJwt('jwt_header', 'typ is neither JWT nor JOSE');
  }
  // The standard leaves `kid` out of doubt only in bundles (J-5); without it every key would have to be tried.
  if (typeof kid !== 'string' || kid === '') {
    return refuseJwt('jwt_key_id', 'the header names no key (kid)');
  }
  return { kind: 'read', algorithm: alg, keyId: kid };
}

function decodeObject(part: string): JsonObject | undefined {
  const bytes = decodePart(part);
  if (bytes === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isObject(value) ? value : undefined;
  } catch (error) {
    // SyntaxError: not JSON. TypeError: not UTF-8.
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** RFC 7515 §2: base64url with no padding. One text for one value, so a token has no second spelling. */
function decodePart(part: string): Uint8Array | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const headerMembers: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

// Twice what an HTTP header field of a usual server may be.
const tokenLengthMax = 16 * 1024;
