/** The audit port: what the rest of the CA sees of the log it must write before anything leaves. */

import type { Closable } from '../../core/index.ts';
import type { AuditEvent } from './event.ts';

export interface Appended {
  readonly index: number;
  readonly leafHash: Uint8Array;
}

export interface AuditLog extends Closable {
  /**
   * Appends one record; resolves when it is durable. Throws {@link AuditError}: then the record is
   * not in the log, and what it would have recorded must not happen.
   */
  append(event: AuditEvent): Promise<Appended>;
  /** How many records are durable. */
  size(): number;
  /** The Merkle tree hash over them (RFC 9162 §2.1.1). */
  rootHash(): Uint8Array;
}
