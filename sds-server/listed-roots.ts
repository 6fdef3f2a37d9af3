/** Whether revocation lists cover a bundle: a verifier that checks whole chains needs one from every root. */

import { equalBytes } from '../core/index.ts';
import { type Certificate, type Crl, parseCrl } from '../pki/index.ts';

/** True if each of the roots has signed one of the lists (RFC 5280 §6.3.3, by name and key). */
export function isListed(roots: readonly Certificate[], crls: readonly Uint8Array[]): boolean {
  if (crls.length === 0) return false;
  const lists = crls.map(parsed);
  return roots.every((root) => lists.some((list) => isOf(list, root)));
}

function isOf({ issuer, authorityKeyId }: Crl, { subject, extensions }: Certificate): boolean {
  const { subjectKeyId } = extensions;
  if (subjectKeyId === undefined || !equalBytes(authorityKeyId, subjectKeyId)) return false;
  return equalBytes(issuer, subject);
}

/** A list is the same value for every caller on the machine, and may name thousands. */
function parsed(der: Uint8Array): Crl {
  const known = cache.get(der);
  if (known !== undefined) return known;
  const crl = parseCrl(der);
  cache.set(der, crl);
  return crl;
}

const cache = new WeakMap<Uint8Array, Crl>();
