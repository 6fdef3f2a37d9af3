/** What the node shows the CA to be attested: a join token, or proof that it has a certificate's key. */

import { utf8Bytes } from '../core/index.ts';
import { type NodeAttestationConfig, readJoinToken } from './config.ts';
import type { NodeApi } from './node-api.ts';
import { x509popEvidence } from './x509pop.ts';

export interface NodeEvidence {
  /** The name of the CA's attestor for it. */
  readonly attestor: string;
  /** What the operator does when the CA refuses it. */
  readonly remedy: string;
  /** Made anew for each try: a nonce is good for a minute, and a certificate may have been replaced. */
  create(api: Pick<NodeApi, 'challenge'>, csr: Uint8Array): Promise<Uint8Array>;
}

/** Throws AgentError or FileError for a join token that is not there. */
export async function nodeEvidenceOf(
  config: NodeAttestationConfig,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<NodeEvidence> {
  if (config.join === undefined) {
    return x509popEvidence(config.attest.x509pop);
  }
  const token = await readJoinToken(config.join, environment);
  return {
    attestor: 'join_token',
    remedy: 'make a new join token with: signet token create',
    create: async () => utf8Bytes(token),
  };
}
