/** Signatures that held once, so that an issuer seen at every handshake is verified once. */

import { hash } from 'node:crypto';
import { concatBytes } from '../../core/index.ts';
import type { Certificate } from '../certificate.ts';

/**
 * A bounded memory of (issuer key, child certificate) pairs. It holds only that a signature is right, which
 * stays true for ever; time, names, constraints and trust are judged anew on every path.
 */
export class VerifiedPairs {
  readonly #keys = new Set<string>();
  readonly #capacity: number;

  constructor(capacity: number = capacityDefault) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#keys.size;
  }

  has(issuer: Certificate, child: Certificate): boolean {
    const key = keyOf(issuer, child);
    if (!this.#keys.delete(key)) return false;
    // Added again at the end: the first of the set is then the one not used for longest.
    this.#keys.add(key);
    return true;
  }

  add(issuer: Certificate, child: Certificate): void {
    this.#keys.add(keyOf(issuer, child));
    if (this.#keys.size <= this.#capacity) return;
    const [oldest] = this.#keys;
    if (oldest !== undefined) this.#keys.delete(oldest);
  }
}

// Both parts are DER and so say their own length: no two pairs have the same bytes. The child's
// signature is among them, so a changed certificate or signature is another pair.
function keyOf(issuer: Certificate, child: Certificate): string {
  return hash('sha256', concatBytes(issuer.spki, child.der), 'base64');
}

// About 100 bytes each. Peers that reconnect and their issuers fit; others only cost a verification.
const capacityDefault = 1024;
