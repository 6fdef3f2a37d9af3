/** SPIFFE IDs: `spiffe://` trust domain, path (SPIFFE-ID §2; rules ID-1 to ID-6). */

import { CodedError } from '../core/index.ts';
import {
  hasTrustDomainCharacters,
  type TrustDomain,
  parseTrustDomain,
  trustDomainLengthMax,
} from './trust-domain.ts';

declare const brand: unique symbol;

/** Such as `spiffe://mesh.test/billing/api`. IDs are equal when the strings are. */
export type SpiffeId = string & { readonly [brand]: 'SpiffeId' };

/** The first nine are go-spiffe's parse errors one by one; the last two are the bounds of ID-5. */
export type SpiffeIdErrorCode =
  | 'spiffe_id_empty'
  | 'spiffe_id_scheme'
  | 'spiffe_id_trust_domain_missing'
  | 'spiffe_id_trust_domain_character'
  | 'spiffe_id_path_character'
  | 'spiffe_id_path_dot_segment'
  | 'spiffe_id_path_empty_segment'
  | 'spiffe_id_path_no_leading_slash'
  | 'spiffe_id_path_trailing_slash'
  | 'spiffe_id_length'
  | 'spiffe_id_trust_domain_length';

export class SpiffeIdError extends CodedError<SpiffeIdErrorCode> {
  override readonly name = 'SpiffeIdError';
  override readonly kind = 'invalid_argument';
}

/**
 * Throws {@link SpiffeIdError}.
 *
 * @example
 * const id = parseSpiffeId('spiffe://mesh.test/billing/api');
 * trustDomainOf(id); // 'mesh.test'
 * pathOf(id); // '/billing/api'
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (isSpiffeId(text)) return text;
  throw refusal(text, faultIn(text) ?? 'spiffe_id_empty');
}

export function isSpiffeId(text: string): text is SpiffeId {
  return faultIn(text) === undefined;
}

/** The ID at `path` of a trust domain; the path is empty or begins with `/`. Throws {@link SpiffeIdError}. */
export function spiffeIdOf(trustDomain: TrustDomain, path: string): SpiffeId {
  if (path !== '' && !path.startsWith('/')) throw refusal(path, 'spiffe_id_path_no_leading_slash');
  return parseSpiffeId(`${scheme}${trustDomain}${path}`);
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', scheme.length);
  return parseTrustDomain(id.slice(scheme.length, slash < 0 ? undefined : slash));
}

/** The path with its leading slash, or `''` for the ID of a trust domain itself. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', scheme.length);
  return slash < 0 ? '' : id.slice(slash);
}

function faultIn(text: string): SpiffeIdErrorCode | undefined {
  if (text === '') return 'spiffe_id_empty';
  // Every character that passes below is one byte, so the count of characters is that of bytes.
  if (text.length > spiffeIdLengthMax) return 'spiffe_id_length';
  // ID-6: RFC 3986 compares schemes without case, but one spelling alone keeps identities unique.
  if (!text.startsWith(scheme)) return 'spiffe_id_scheme';
  const slash = text.indexOf('/', scheme.length);
  const trustDomain = text.slice(scheme.length, slash < 0 ? undefined : slash);
  if (trustDomain === '') return 'spiffe_id_trust_domain_missing';
  // Also what refuses user information, a port, a query and a fragment (ID-1, ID-2).
  if (!hasTrustDomainCharacters(trustDomain)) return 'spiffe_id_trust_domain_character';
  if (trustDomain.length > trustDomainLengthMax) return 'spiffe_id_trust_domain_length';
  return slash < 0 ? undefined : faultInPath(text.slice(slash));
}

// ID-4.
function faultInPath(path: string): SpiffeIdErrorCode | undefined {
  const segments = path.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    if (segment === '') {
      const isLast = index === segments.length - 1;
      return isLast ? 'spiffe_id_path_trailing_slash' : 'spiffe_id_path_empty_segment';
    }
    if (segment === '.' || segment === '..') return 'spiffe_id_path_dot_segment';
    if (!/^[a-zA-Z0-9._-]+$/.test(segment)) return 'spiffe_id_path_character';
  }
  return undefined;
}

function refusal(text: string, code: SpiffeIdErrorCode): SpiffeIdError {
  return new SpiffeIdError(code, `${quoted(text)}: ${reasons[code]}`);
}

// What is refused may be long and may hold anything; a message shows enough to find it.
function quoted(text: string): string {
  const shown = text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}…` : text;
  return JSON.stringify(shown);
}

const scheme = 'spiffe://';

// ID-5.
export const spiffeIdLengthMax = 2048;

const shownLengthMax = 120;

const reasons: Readonly<Record<SpiffeIdErrorCode, string>> = {
  spiffe_id_empty: 'a SPIFFE ID is required',
  spiffe_id_scheme: 'a SPIFFE ID begins with spiffe://',
  spiffe_id_trust_domain_missing: 'the trust domain is missing',
  spiffe_id_trust_domain_character:
    'a trust domain has only a-z, 0-9, dot, dash and underscore, and no port',
  spiffe_id_path_character: 'a path segment has only letters, digits, dot, dash and underscore',
  spiffe_id_path_dot_segment: 'a path has no . or .. segment',
  spiffe_id_path_empty_segment: 'a path has no empty segment',
  spiffe_id_path_no_leading_slash: 'a path begins with a slash',
  spiffe_id_path_trailing_slash: 'a path does not end with a slash',
  spiffe_id_length: 'a SPIFFE ID has at most 2048 bytes',
  spiffe_id_trust_domain_length: 'a trust domain has at most 255 bytes',
};
