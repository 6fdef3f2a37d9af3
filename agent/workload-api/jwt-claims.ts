/** Which claims of a valid token ValidateJWTSVID answers. */

import { type JwtSvid, type TrustDomain, trustDomainOf } from '../../spiffe/index.ts';

type Claims = Record<string, unknown>;

/**
 * All of our own trust domain's, and of another domain only those that the standards define: what its
 * authority writes beside them means something there alone. `aud` is always a list.
 */
export function visibleClaims({ id, audience, claims }: JwtSvid, own: TrustDomain): Claims {
  const isOwn = trustDomainOf(id) === own;
  const visible = Object.entries(claims).filter(
    ([name, value]) => (isOwn || registered.has(name)) && isShallow(value, depthMax),
  );
  return { ...Object.fromEntries(visible), aud: [...audience] };
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((each) => isShallow(each, depth - 1));
}

// RFC 7519 §4.1.
const registered: ReadonlySet<string> = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti']);
// Protocol Buffers' readers give up at a hundred nested messages, and each level here is two or three.
const depthMax = 16;
