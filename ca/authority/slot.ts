/** Questions to a set of authorities: who signs, who is trusted, what is below whom. */

import type { Authority, AuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';

export function activeRoot(set: AuthoritySet): Authority | undefined {
  return set.authorities.find(({ tier, state }) => tier === 'root' && state === 'active');
}

export function activeIssuing(set: AuthoritySet): Authority | undefined {
  return set.authorities.find(({ tier, state }) => tier === 'issuing' && state === 'active');
}

/** The root that is to sign next: in the bundle already, not signing yet. */
export function waitingRoot(set: AuthoritySet): Authority | undefined {
  return set.authorities.find(
    ({ tier, state }) => tier === 'root' && (state === 'prepared' || state === 'published'),
  );
}

/** The roots of the bundle, oldest first: prepared ones too, so that they are known before they sign. */
export function trustedRoots(set: AuthoritySet): readonly Authority[] {
  return set.authorities.filter(({ tier, state }) => tier === 'root' && state !== 'retired');
}

/** Throws {@link AuthorityError} `authority_unknown`. */
export function authorityById(set: AuthoritySet, id: string): Authority {
  const found = set.authorities.find((authority) => authority.id === id);
  if (found !== undefined) return found;
  throw new AuthorityError('authority_unknown', `no authority has the id ${JSON.stringify(id)}`, {
    remedy: 'list them with `signet authority list`',
  });
}

/** When the last leaf below it ends, its own or its issuing authorities'; undefined if none was issued. */
export function lastLeafNotAfterMs(set: AuthoritySet, authority: Authority): number | undefined {
  const ends = [authority, ...set.authorities.filter(({ parentId }) => parentId === authority.id)]
    .map((each) => each.lastLeafNotAfterMs)
    .filter((end) => end !== undefined);
  return ends.length === 0 ? undefined : Math.max(...ends);
}

/** Key ids under which nothing may go on standing; also of those that were dropped, while they could matter. */
export function taintedKeyIds(set: AuthoritySet): readonly string[] {
  return set.authorities.flatMap(({ id, taintedAtMs }) => (taintedAtMs === undefined ? [] : [id]));
}

/** When the authority is to be replaced: half-way between its beginning to sign and its end. */
export function halfLifeMs(authority: Authority): number {
  const beginMs = authority.activatedAtMs ?? authority.preparedAtMs;
  return beginMs + (authority.certificate.notAfterMs - beginMs) / 2;
}
