/** Node attestation by join token: the node is whoever holds the token, once, with one key. */

import { utf8Text } from '../../core/index.ts';
import { type SpiffeId, spiffeIdOf, type TrustDomain } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { joinTokenIdOf } from '../registry/join-token.ts';
import type { Registry } from '../registry/registry.ts';
import { selectorOf } from '../registry/selector.ts';
import type { Attestation, NodeAttestor } from './node-attestor.ts';

export function joinTokenAttestor(deps: {
  readonly trustDomain: TrustDomain;
  readonly registry: Pick<Registry, 'useToken'>;
  readonly audit: Pick<AuditLog, 'append'>;
}): NodeAttestor {
  return {
    name: joinTokenAttestorName,
    async attest({ evidence, spkiSha256, address }): Promise<Attestation> {
      const text = evidence.length > evidenceBytesMax ? undefined : utf8Text(evidence);
      const tokenId = text === undefined ? undefined : joinTokenIdOf(text);
      if (text === undefined || tokenId === undefined) {
        return {
          kind: 'refused',
          code: 'token_unknown',
          detail: 'this is not a join token',
          remedy,
        };
      }
      const id = joinTokenNodeId(deps.trustDomain, tokenId);
      const actor = { kind: 'node', id, address } as const;
      const use = await deps.registry.useToken({ text, spkiSha256, nodeId: id }, () =>
        deps.audit.append({ actor, type: 'token.used', tokenId, nodeId: id }),
      );
      if (use.kind === 'refused') return { ...use, claim: tokenId, remedy };
      const { aliasId } = use.token;
      return {
        kind: 'attested',
        id,
        selectors: [selectorOf(joinTokenAttestorName, tokenId)],
        ...(aliasId === undefined ? {} : { aliasId }),
      };
    },
  };
}

/** The SPIFFE ID of the node that joins with this token. It holds the token's id, never the token. */
export function joinTokenNodeId(trustDomain: TrustDomain, tokenId: string): SpiffeId {
  return spiffeIdOf(trustDomain, `/signet/node/join-token/${tokenId}`);
}

const remedy = 'ask for a new token';
export const joinTokenAttestorName = 'join_token';

// A token has under a hundred characters; nothing longer is worth decoding.
const evidenceBytesMax = 1024;
