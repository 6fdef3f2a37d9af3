/**
 * Which certificates still live: what it takes to revoke by ID, node or authority without asking the disk.
 * Fed by the same events that the audit log holds, so that a restart finds it again there.
 */

import type { AuditedCertificate, AuditEvent } from '../audit/event.ts';

export interface LiveLeaf {
  readonly serial: string;
  readonly spiffeId: string;
  /** The node that asked for it; absent for the CA's own. */
  readonly nodeId?: string;
  /** The entry it was issued under, of a workload's. */
  readonly entryId?: string;
  readonly issuerKeyId: string;
  readonly notAfterMs: number;
}

/** The leaf that an event put into the world, if it did. */
export function leafOf(event: AuditEvent): LiveLeaf | undefined {
  if (event.type === 'svid.issued') {
    const { actor, certificate } = event;
    return leafWith(certificate, actor.kind === 'node' ? actor.id : undefined);
  }
  return event.type === 'node.attested' || event.type === 'node.renewed'
    ? leafWith(event.certificate, event.nodeId)
    : undefined;
}

export class LiveLeaves {
  readonly #leaves = new Map<string, LiveLeaf>();
  /** One string for each ID, however many certificates bear it. */
  readonly #names = new Map<string, string>();
  readonly #capacity: number;
  #isComplete = true;

  constructor(capacity: number = capacityDefault) {
    this.#capacity = capacity;
  }

  /** False once a living one had to be let go, or was never found: then only the log knows them all. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Records that may name living ones were not there to be read. */
  noteMissing(): void {
    this.#isComplete = false;
  }

  get size(): number {
    return this.#leaves.size;
  }

  add(leaf: LiveLeaf): void {
    const nodeId = leaf.nodeId === undefined ? {} : { nodeId: this.#shared(leaf.nodeId) };
    const entryId = leaf.entryId === undefined ? {} : { entryId: this.#shared(leaf.entryId) };
    this.#leaves.set(leaf.serial, {
      ...leaf,
      ...nodeId,
      ...entryId,
      spiffeId: this.#shared(leaf.spiffeId),
      issuerKeyId: this.#shared(leaf.issuerKeyId),
    });
    if (this.#leaves.size <= this.#capacity) return;
    const [oldest] = this.#leaves.keys();
    if (oldest === undefined) return;
    this.#leaves.delete(oldest);
    this.#isComplete = false;
  }

  get(serial: string): LiveLeaf | undefined {
    return this.#leaves.get(serial);
  }

  matching(matches: (leaf: LiveLeaf) => boolean): readonly LiveLeaf[] {
    return [...this.#leaves.values()].filter(matches);
  }

  /** Forgets what has ended. */
  prune(nowMs: number): void {
    for (const { serial, notAfterMs } of this.#leaves.values()) {
      if (notAfterMs < nowMs) this.#leaves.delete(serial);
    }
    const used = new Set(
      [...this.#leaves.values()].flatMap((leaf) => [
        leaf.spiffeId,
        leaf.nodeId ?? '',
        leaf.entryId ?? '',
        leaf.issuerKeyId,
      ]),
    );
    for (const name of this.#names.keys()) if (!used.has(name)) this.#names.delete(name);
  }

  #shared(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    this.#names.set(name, name);
    return name;
  }
}

function leafWith(certificate: AuditedCertificate, nodeId: string | undefined): LiveLeaf {
  const { entryId } = certificate;
  return {
    serial: serialText(certificate.serial),
    spiffeId: certificate.spiffeId,
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(entryId === undefined ? {} : { entryId }),
    issuerKeyId: certificate.issuerKeyId,
    notAfterMs: Date.parse(certificate.notAfter),
  };
}

/** A serial as certificates show it, however it was typed: `01:AB` and `0x01ab` are `01ab`. */
export function serialText(text: string): string {
  const digits = text.trim().replace(/^0x/i, '').replaceAll(':', '').toLowerCase();
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return even.replace(/^(?:00)+(?=.)/, '');
}

// About 250 bytes each: the certificates of a large mesh with an hour's life, renewed at half of it.
const capacityDefault = 400_000;
