/** The Upgrade field (RFC 9110 §7.8): protocols, perhaps with versions, in the sender's order of liking. */

import { isEvery, isTokenOctet, trimBlanks } from './octets.ts';

/** The members in lower case, since protocol names are compared so. What is no protocol is left out. */
export function protocolsIn(value: string): readonly string[] {
  return membersOf(value).map((member) => member.toLowerCase());
}

/**
 * What of an offer goes on: the members that `allowed` holds in lower case, as they were written and in
 * their order. Undefined if there is none, and the request is then an ordinary one.
 */
export function allowedUpgrade(
  offer: string | undefined,
  allowed: ReadonlySet<string>,
): string | undefined {
  if (offer === undefined || allowed.size === 0) return undefined;
  const kept = membersOf(offer).filter((member) => allowed.has(member.toLowerCase()));
  return kept.length === 0 ? undefined : kept.join(', ');
}

function membersOf(value: string): readonly string[] {
  return value
    .split(',', protocolsMax)
    .map(trimBlanks)
    .filter(
      (member) => member !== '' && member.split('/').every((part) => isEvery(isTokenOctet, part)),
    );
}

// Honest clients offer one or two; what stands behind these is not looked at.
const protocolsMax = 16;
