/** Which protocol a connection speaks, as a pure function of what is known of it. */

import type { Buffer } from 'node:buffer';
import { detectBytesMax, type ProtocolMatcher } from './protocol-matcher.ts';

export type Detection<Matcher extends ProtocolMatcher> =
  | { readonly kind: 'detected'; readonly matcher: Matcher }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'need_more' };

/** The protocol that ALPN agreed on, which settles it; undefined if none was, or one that nobody here speaks. */
export function protocolOfAlpn<Matcher extends ProtocolMatcher>(
  matchers: readonly Matcher[],
  alpn: string | undefined,
): Matcher | undefined {
  return alpn === undefined ? undefined : matchers.find((matcher) => matcher.alpn === alpn);
}

/**
 * Asks the table in its order, so that the answer does not depend on chance: the first that does not say no
 * decides, or is waited for.
 */
export function detectProtocol<Matcher extends ProtocolMatcher>(
  matchers: readonly Matcher[],
  bytes: Buffer,
): Detection<Matcher> {
  if (bytes.length === 0) return { kind: 'need_more' };
  for (const matcher of matchers) {
    const match = matcher.match(bytes);
    if (match === 'yes') return { kind: 'detected', matcher };
    // A matcher that never makes up its mind must not hold a connection for ever.
    if (match === 'need_more' && bytes.length < detectBytesMax) return { kind: 'need_more' };
  }
  return { kind: 'unknown' };
}
