/** The two documents by which an OIDC relying party comes to trust JWT-SVIDs (OpenID Connect Discovery 1.0). */

import type { Bundle, JwtAuthority } from '../../spiffe/index.ts';

/** Paths of the documents, under the path of the issuer (§4: concatenated, not resolved). */
export function discoveryPaths(issuer: string): {
  readonly document: string;
  readonly keys: string;
} {
  const { pathname } = new URL(issuer);
  const base = pathname === '/' ? '' : pathname;
  return { document: `${base}/.well-known/openid-configuration`, keys: `${base}/keys` };
}

/** §3. What is required and has no meaning here says so: nobody logs in. */
export function discoveryDocument(issuer: string): string {
  return JSON.stringify({
    issuer,
    authorization_endpoint: 'urn:signet:no-authorization-endpoint',
    jwks_uri: `${issuer}/keys`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [signedWith],
    claims_supported: ['aud', 'exp', 'iat', 'iss', 'jti', 'sub'],
  });
}

/** The JWT keys of the bundle as a plain JWKS (RFC 7517 §5): `sig`, where the bundle says `jwt-svid`. */
export function keysDocument({ jwtAuthorities }: Pick<Bundle, 'jwtAuthorities'>): string {
  return JSON.stringify({ keys: jwtAuthorities.map(jwkOf) });
}

function jwkOf({ keyId, publicKey }: JwtAuthority): object {
  // Member by member, so that nothing private could ever stand in it.
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
  return { use: 'sig', kid: keyId, alg: signedWith, kty, crv, x, y };
}

// Every JWT key of this CA is a P-256 key.
const signedWith = 'ES256';
