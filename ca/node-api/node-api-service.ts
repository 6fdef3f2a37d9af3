/** The NodeApi service: each call finds out who asks, then does one thing. */

import type { NodeApiServer } from '../../api/index.ts';
import { type CallerLookup, duplexStream, unary } from '../../rpc/index.ts';
import { type AttestDeps, attestNode } from './attest.ts';
import { mintJwtSvids, type MintJwtDeps } from './mint-jwt.ts';
import { NodeApiError } from './node-api-error.ts';
import type { NodePeers } from './node-peers.ts';
import { readSecret, type SecretReads, sessionTicketKeys } from '../secrets/read-secret.ts';
import { renewNode, type SignDeps, signX509Svids } from './sign.ts';
import { type SyncDeps, syncNode } from './sync.ts';

export interface NodeApiDeps extends AttestDeps, SignDeps, SyncDeps, MintJwtDeps {
  readonly secrets: SecretReads;
  readonly peers: NodePeers;
  readonly registry: AttestDeps['registry'] & SignDeps['registry'];
}

export function nodeApiService(lookup: CallerLookup, deps: NodeApiDeps): NodeApiServer {
  const reading = { ...deps, authority: deps.issuance };
  return {
    challenge: unary(lookup, async ({ attestor }) => {
      const nonce = deps.attestors.get(attestor)?.challenge?.();
      if (nonce !== undefined) return { nonce: Buffer.from(nonce) };
      throw new NodeApiError(
        'invalid_argument',
        'attestor_unknown',
        `node attestor ${JSON.stringify(attestor.slice(0, 32))} gives no challenge`,
      );
    }),
    attest: unary(lookup, async (request, { caller }) => attestNode(deps, request, caller)),
    renew: unary(lookup, async (request, { caller }) =>
      renewNode(deps, request, await deps.peers.nodeOf(caller)),
    ),
    sync: duplexStream(lookup, async (stream, context) =>
      syncNode(deps, stream, await deps.peers.nodeOf(context.caller), context),
    ),
    signX509Svids: unary(lookup, async (request, { caller }) =>
      signX509Svids(deps, request, await deps.peers.nodeOf(caller)),
    ),
    mintJwtSvids: unary(lookup, async (request, { caller }) =>
      mintJwtSvids(deps, request, await deps.peers.nodeOf(caller)),
    ),
    readSecret: unary(lookup, async (request, { caller }) =>
      readSecret(reading, request, await deps.peers.nodeOf(caller)),
    ),
    sessionTicketKeys: unary(lookup, async (request, { caller }) =>
      sessionTicketKeys(reading, request, await deps.peers.nodeOf(caller)),
    ),
  };
}

// What a node says of its clients is the most: 256 reports with twenty refusals each. A batch of requests for
// certificates is a third of a megabyte.
export const nodeMessageBytesMax = 16 * 1024 * 1024;
