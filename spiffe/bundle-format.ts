/** Writing a bundle as a SPIFFE bundle document, a JWKS with two more members (SPIFFE Trust Domain and Bundle §4). */

import { toBase64 } from '../core/index.ts';
import { type Certificate, publicKeyOf } from '../pki/index.ts';
import type { Bundle, JwtAuthority } from './bundle.ts';
import { BundleError } from './bundle-error.ts';

/**
 * The document, written strictly: some readers refuse the whole of it for one odd entry. Throws
 * {@link BundleError} if the bundle cannot be written so.
 */
export function formatBundle(bundle: Bundle): string {
  const { sequence, refreshHintSeconds, x509Authorities, jwtAuthorities } = bundle;
  if (sequence < 0n || sequence > sequenceMax) {
    throw new BundleError('bundle_sequence', `sequence ${sequence} does not fit in 64 bits`);
  }
  const keyIds = new Set(jwtAuthorities.map(({ keyId }) => keyId));
  if (keyIds.has('')) throw new BundleError('bundle_key_id', 'a JWT authority has no key ID');
  if (keyIds.size < jwtAuthorities.length) {
    throw new BundleError('bundle_key_id_duplicate', 'two JWT authorities have one key ID');
  }
  const keys = [...x509Authorities.map(x509Entry), ...jwtAuthorities.map(jwtEntry)];
  // By hand, because JSON.stringify has no way to write a 64-bit number without losing digits.
  const members = [`"keys":${JSON.stringify(keys)}`, `"spiffe_sequence":${sequence}`];
  if (refreshHintSeconds !== undefined) {
    if (!Number.isSafeInteger(refreshHintSeconds) || refreshHintSeconds < 0) {
      throw new BundleError(
        'bundle_refresh_hint',
        `refresh hint ${refreshHintSeconds} is no count of seconds`,
      );
    }
    members.push(`"spiffe_refresh_hint":${refreshHintSeconds}`);
  }
  return `{${members.join(',')}}`;
}

/**
 * Its JWT keys alone, as the Workload API gives them: equal text for equal keys, whatever else changed.
 * Without `use`: RFC 7517 §4.2 knows other values than SPIFFE's, and common JOSE libraries pass a key over
 * that has one of those. Every key is a JWT key here, so nothing is lost; SPIRE's agent does the same.
 */
export function formatJwtBundle({ jwtAuthorities }: Pick<Bundle, 'jwtAuthorities'>): string {
  return JSON.stringify({
    keys: jwtAuthorities.map((authority) => ({ ...jwtEntry(authority), use: undefined })),
  });
}

// no `kid`, exactly one certificate.
function x509Entry(authority: Certificate): object {
  const key = publicKeyOf(authority).export({ format: 'jwk' });
  return { use: 'x509-svid', ...key, x5c: [toBase64(authority.der)] };
}

// J-5: `kid` always.
function jwtEntry({ keyId, publicKey }: JwtAuthority): object {
  // A private key has the same type to the compiler, and its JWK would publish the secret.
  if (publicKey.type !== 'public') {
    throw new BundleError('bundle_key', `JWT authority ${JSON.stringify(keyId)} is no public key`);
  }
  return { use: 'jwt-svid', kid: keyId, ...publicKey.export({ format: 'jwk' }) };
}

/** B-2: 64 bits without a sign. */
export const sequenceMax = 2n ** 64n - 1n;
