/** Whether a peer's certificate is on a revocation list. The lists come with the bundles and are replaced as a whole. */

import { Buffer } from 'node:buffer';
import { type Certificate, type Crl, whyNotIssuedBy } from '../../../pki/index.ts';

/** The lists by the key that signed them. */
export class RevocationLists {
  readonly #byKeyId = new Map<string, Crl[]>();
  /** Lists whose signature was looked at, with what was found: an issuer has few keys and many peers. */
  readonly #verified = new WeakMap<
    Crl,
    { readonly issuer: Certificate; readonly fault?: string }
  >();
  readonly size: number;

  constructor(crls: readonly Crl[]) {
    this.size = crls.length;
    for (const crl of crls) {
      const keyId = keyOf(crl.authorityKeyId);
      this.#byKeyId.set(keyId, [...(this.#byKeyId.get(keyId) ?? []), crl]);
    }
  }

  /**
   * Why the peer must not be believed, or undefined. `path` leads from its leaf to the root, and each
   * certificate of it is looked up in the lists of the one above (RFC 5280 §6.3): an issuing authority falls
   * by the word of its root. A list that its issuer did not sign proves nothing good either.
   */
  whyRevoked(path: readonly Certificate[]): string | undefined {
    if (this.size === 0) return undefined;
    for (let depth = 0; depth + 1 < path.length; depth += 1) {
      const certificate = path[depth];
      const issuer = path[depth + 1];
      if (certificate === undefined || issuer === undefined) break;
      const reason = this.#whyOne(certificate, issuer);
      if (reason !== undefined) {
        return depth === 0 ? `its certificate ${reason}` : `the authority above it ${reason}`;
      }
    }
    return undefined;
  }

  #whyOne({ serial, extensions }: Certificate, issuer: Certificate): string | undefined {
    const { authorityKeyId } = extensions;
    if (authorityKeyId === undefined) return undefined;
    for (const crl of this.#byKeyId.get(keyOf(authorityKeyId)) ?? []) {
      const fault = this.#faultOf(crl, issuer);
      if (fault !== undefined) return `has an issuer whose revocation list does not hold: ${fault}`;
      const revoked = crl.revoked.get(serial);
      if (revoked === undefined) continue;
      const since = new Date(revoked.revokedAtMs).toISOString();
      return `${serial} was revoked at ${since} (${revoked.reason})`;
    }
    return undefined;
  }

  #faultOf(crl: Crl, issuer: Certificate): string | undefined {
    const known = this.#verified.get(crl);
    if (known?.issuer === issuer) return known.fault;
    const fault = whyNotIssuedBy(crl, issuer);
    this.#verified.set(crl, fault === undefined ? { issuer } : { issuer, fault });
    return fault;
  }
}

/** A new list is held against every live connection in one turn, so this is asked a hundred thousand times. */
function keyOf(keyId: Uint8Array): string {
  return Buffer.from(keyId.buffer, keyId.byteOffset, keyId.byteLength).toString('latin1');
}

export const noRevocationLists = new RevocationLists([]);
