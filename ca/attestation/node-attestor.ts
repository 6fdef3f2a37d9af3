/** The NodeAttestor port: evidence of what a node is, traded for its SPIFFE ID. */

import type { SpiffeId } from '../../spiffe/index.ts';
import type { Selector } from '../registry/selector.ts';

export interface AttestationRequest {
  /** What the agent shows; each attestor reads its own kind. */
  readonly evidence: Uint8Array;
  /** Lower hexadecimal SHA-256 of the key the node proved to hold, for evidence that is bound to one key. */
  readonly spkiSha256: string;
  /** The request as it came, for evidence that is bound to all of it. */
  readonly csr: Uint8Array;
  /** Where the call came from, for the record of what it consumed. */
  readonly address: string;
}

export type Attestation =
  | {
      readonly kind: 'attested';
      readonly id: SpiffeId;
      readonly selectors: readonly Selector[];
      /** A second name, which entries may have as their parent. */
      readonly aliasId?: SpiffeId;
    }
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly detail: string;
      /** What the evidence claimed to be, if that may be written down. */
      readonly claim?: string;
      readonly remedy?: string;
    };

export interface NodeAttestor {
  /** As an agent asks for it, such as `join_token`. */
  readonly name: string;
  /** A fresh nonce, if its evidence needs one. */
  challenge?(): Uint8Array;
  /** Judges the evidence. What it consumes is durable before it answers. */
  attest(request: AttestationRequest): Promise<Attestation>;
}
