/** The SVID held for a registration entry, and what is needed to know when it must be made anew. */

import type { KeyedSvid } from '../../sds-server/index.ts';

export interface EntrySvid {
  readonly entryId: string;
  /** The entry's revision that it was made for. */
  readonly entryRevision: bigint;
  readonly svid: KeyedSvid;
  readonly rootKeyId: string;
  readonly notAfterMs: number;
  readonly renewAtMs: number;
  /** When it came, and what the CA said of its life: for operators. */
  readonly issuedAtMs?: number;
  /** Whose end cut it short; absent if it is as long as its entry asks. */
  readonly cappedBy?: string;
}

/** By entry id. */
export type EntrySvids = ReadonlyMap<string, EntrySvid>;
