/** Whether a name lies in a subtree, by kind of name (RFC 5280 §4.2.1.10). */

import { equalBytes } from '../../core/index.ts';
import { readDer } from '../der/reader.ts';
import { tag } from '../der/tag.ts';

/**
 * The host of `uri` against `base`: a base with a leading dot means the hosts below it, any other the one
 * host. Undefined if the URI has no host by name, which no constraint can be about.
 */
export function matchesUri(uri: string, base: string): boolean | undefined {
  const authority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(uri)?.[1];
  const host = authority
    ?.replace(/^.*@/, '')
    .replace(/:[0-9]*$/, '')
    .toLowerCase();
  if (host === undefined || host === '' || host.startsWith('[')) return undefined;
  return matchesHost(host, base);
}

/** A name equal to `base` or below it. For exclusion, a wildcard also matches if it could expand into `base`. */
export function matchesDns(name: string, base: string, expandWildcard: boolean): boolean {
  const lowerName = name.toLowerCase();
  const lowerBase = base.toLowerCase();
  if (lowerBase === '') return true;
  if (lowerBase.startsWith('.')) return lowerName.endsWith(lowerBase);
  if (lowerName === lowerBase || lowerName.endsWith(`.${lowerBase}`)) return true;
  return expandWildcard && lowerName.startsWith('*.') && lowerBase.endsWith(lowerName.slice(1));
}

/** A base with `@` is one mailbox, one with a leading dot the hosts below it, any other one host. */
export function matchesEmail(address: string, base: string): boolean | undefined {
  const at = address.lastIndexOf('@');
  if (at <= 0) return undefined;
  const host = address.slice(at + 1).toLowerCase();
  const baseAt = base.lastIndexOf('@');
  if (baseAt < 0) return matchesHost(host, base);
  // RFC 5280 §7.5: the local part is compared exactly, the host without case.
  return (
    address.slice(0, at) === base.slice(0, baseAt) && host === base.slice(baseAt + 1).toLowerCase()
  );
}

export function matchesIp(address: Uint8Array, base: Uint8Array, mask: Uint8Array): boolean {
  return (
    address.length === base.length &&
    address.every((octet, index) => {
      const bits = mask[index] ?? 0xff;
      return (octet & bits) === ((base[index] ?? 0) & bits);
    })
  );
}

/** `base` is a prefix of `name`, RDN by RDN. */
export function matchesDirectory(name: Uint8Array, base: Uint8Array): boolean {
  const nameParts = relativeNames(name);
  return relativeNames(base).every((part, index) => {
    const counterpart = nameParts[index];
    return counterpart !== undefined && equalBytes(part, counterpart);
  });
}

function matchesHost(host: string, base: string): boolean {
  const lowerBase = base.toLowerCase();
  if (lowerBase === '') return true;
  return lowerBase.startsWith('.') ? host.endsWith(lowerBase) : host === lowerBase;
}

function relativeNames(name: Uint8Array): Uint8Array[] {
  return readDer(name, (reader) =>
    reader.sequence((names) => names.each(relativeNamesMax, (rdn) => rdn.whole(tag.set))),
  );
}

// As in `name.ts`: real names have under ten parts.
const relativeNamesMax = 64;
