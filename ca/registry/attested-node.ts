/** An attested node: what the CA remembers of a machine whose agent proved what it runs on. */

import type { SpiffeId } from '../../spiffe/index.ts';
import type { Selector } from './selector.ts';

export interface AttestedNode {
  /** `spiffe://<trust domain>/signet/node/<attestor>/<name>`. */
  readonly id: SpiffeId;
  readonly attestor: string;
  /** What the attestor found; a join-token node carries `join_token:<token id>`. */
  readonly selectors: readonly Selector[];
  /** A second name for this node, which entries may have as their parent. */
  readonly aliasId?: SpiffeId;
  /** The newest certificate it was given: lower hexadecimal serial, and its end. */
  readonly serial: string;
  readonly notAfterMs: number;
  readonly attestedAtMs: number;
  readonly renewedAtMs?: number;
  readonly agentVersion?: string;
  /** Absent unless an operator shut it out: then nothing it shows is accepted, old or new. */
  readonly banned?: NodeBan;
}

export interface NodeBan {
  readonly atMs: number;
  readonly reason: string;
}
