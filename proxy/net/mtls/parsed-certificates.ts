/** Certificates by their bytes: peers come again with the same chain, and the value of the same bytes is the same. */

import { hash } from 'node:crypto';
import { type Certificate, parseCertificate } from '../../../pki/index.ts';

/** Bounded; what was not asked for longest goes first. */
export class ParsedCertificates {
  readonly #byHash = new Map<string, Certificate>();

  get size(): number {
    return this.#byHash.size;
  }

  /** Throws what `parseCertificate` throws; nothing that was refused is kept. */
  parse(der: Uint8Array): Certificate {
    const key = hash('sha256', der, 'base64');
    const known = this.#byHash.get(key);
    // Put back at the end, where the last used stand.
    if (known !== undefined) this.#byHash.delete(key);
    const certificate = known ?? parseCertificate(der);
    this.#byHash.set(key, certificate);
    if (this.#byHash.size > certificatesMax) {
      const [oldest] = this.#byHash.keys();
      if (oldest !== undefined) this.#byHash.delete(oldest);
    }
    return certificate;
  }
}

// A kilobyte or two each. A sidecar's peers fit; with more of them each costs a parse, as without a cache.
const certificatesMax = 512;
