/** Reading a SPIFFE bundle document, leniently where the standard says to skip (rules X-9, J-5, B-1, B-2). */

import { createPublicKey } from 'node:crypto';
import { fromBase64, toHex } from '../core/index.ts';
import { type Certificate, CertificateError, parseCertificate } from '../pki/index.ts';
import type { Bundle, JwtAuthority } from './bundle.ts';
import { BundleError } from './bundle-error.ts';
import { sequenceMax } from './bundle-format.ts';
import type { TrustDomain } from './trust-domain.ts';

/**
 * Reads `text` as the bundle of `trustDomain`, which the document itself does not name. Entries of an
 * unknown kind or use are skipped; one that says it is an authority and is broken makes the whole
 * document refused, so that the last good bundle stays. Throws {@link BundleError}.
 */
export function parseBundle(text: string, trustDomain: TrustDomain): Bundle {
  if (text.length > textLengthMax) {
    throw new BundleError(
      'bundle_size',
      `${text.length} characters, at most ${textLengthMax} are read`,
    );
  }
  const document = parseJson(text);
  const keys = document['keys'];
  // B-1: an empty list means that all is revoked, so a missing one must not pass for it.
  if (!Array.isArray(keys)) throw new BundleError('bundle_keys', 'the bundle has no list of keys');
  if (keys.length > keysMax) {
    throw new BundleError('bundle_size', `${keys.length} keys, at most ${keysMax} are read`);
  }
  const entries = keys.filter(isEntry);
  const hint = refreshHintOf(document['spiffe_refresh_hint']);
  return {
    trustDomain,
    sequence: sequenceOf(document['spiffe_sequence']),
    ...(hint === undefined ? {} : { refreshHintSeconds: hint }),
    x509Authorities: x509Authorities(entries),
    jwtAuthorities: jwtAuthorities(entries),
  };
}

type JsonObject = Readonly<Record<string, unknown>>;

interface Entry extends JsonObject {
  readonly kty: string;
  readonly use: string;
}

function parseJson(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text, keepDigits);
    if (isObject(value)) return value;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new BundleError('bundle_json', 'the bundle is not JSON', { cause });
  }
  throw new BundleError('bundle_json', 'the bundle is not a JSON object');
}

// A sequence above 2^53 would lose its last digits as a number, and two bundles would look the same.
function keepDigits(key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  const isSequence = key === 'spiffe_sequence' && typeof value === 'number';
  return isSequence && source !== undefined && /^[0-9]{1,20}$/.test(source)
    ? BigInt(source)
    : value;
}

function sequenceOf(value: unknown): bigint {
  if (value === undefined) return 0n;
  if (typeof value !== 'bigint' || value > sequenceMax) {
    throw new BundleError(
      'bundle_sequence',
      'spiffe_sequence is not an unsigned number of 64 bits',
    );
  }
  return value;
}

function refreshHintOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new BundleError('bundle_refresh_hint', 'spiffe_refresh_hint is not a count of seconds');
  }
  return value;
}

// B-1: without `kty` or `use`, or with another one, an entry is none of ours. Case matters.
function isEntry(value: unknown): value is Entry {
  return (
    isObject(value) &&
    typeof value['use'] === 'string' &&
    typeof value['kty'] === 'string' &&
    knownKeyTypes.has(value['kty'])
  );
}

function x509Authorities(entries: readonly Entry[]): Certificate[] {
  const authorities = new Map<string, Certificate>();
  for (const entry of entries) {
    if (entry.use !== 'x509-svid') continue;
    const x5c = entry['x5c'];
    // skip an entry without a certificate; of several, only the first counts.
    const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined;
    if (first === undefined) continue;
    const authority = parseAuthority(first);
    authorities.set(toHex(authority.der), authority);
  }
  return [...authorities.values()];
}

function parseAuthority(base64: unknown): Certificate {
  const der = typeof base64 === 'string' ? fromBase64(base64) : undefined;
  if (der === undefined) throw new BundleError('bundle_certificate', 'an x5c value is not base64');
  try {
    return parseCertificate(der);
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new BundleError('bundle_certificate', `an x5c value is refused: ${cause.message}`, {
      cause,
    });
  }
}

function jwtAuthorities(entries: readonly Entry[]): JwtAuthority[] {
  const authorities = new Map<string, JwtAuthority>();
  for (const entry of entries) {
    const keyId = entry['kid'];
    // J-5: a key without `kid` can verify no token, since ours always name their key.
    if (entry.use !== 'jwt-svid' || typeof keyId !== 'string' || keyId === '') continue;
    if (authorities.has(keyId)) {
      throw new BundleError(
        'bundle_key_id_duplicate',
        `two JWT authorities have key ID ${JSON.stringify(keyId)}`,
      );
    }
    authorities.set(keyId, { keyId, publicKey: importJwk(entry, keyId) });
  }
  return [...authorities.values()];
}

function importJwk(entry: Entry, keyId: string): JwtAuthority['publicKey'] {
  try {
    // Only the public members: a private key that was published by mistake must not be taken in.
    const key: Partial<Record<PublicMember, string>> = {};
    for (const member of publicMembers) {
      const value = entry[member];
      if (typeof value === 'string') key[member] = value;
    }
    return createPublicKey({ key, format: 'jwk' });
  } catch (cause) {
    throw new BundleError(
      'bundle_key',
      `JWT authority ${JSON.stringify(keyId)} has no usable key`,
      { cause },
    );
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type PublicMember = (typeof publicMembers)[number];

// RFC 7518 §6.2.1 and §6.3.1, RFC 8037 §2.
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const;

const knownKeyTypes: ReadonlySet<string> = new Set(['EC', 'RSA', 'OKP']);

// A bundle of the most keys we read, at 3 KiB each with RSA-4096.
const textLengthMax = 4 * 1024 * 1024;

// As many as `pki/` reads certificates from one file.
const keysMax = 1000;
