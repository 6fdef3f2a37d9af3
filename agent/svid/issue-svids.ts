/** A batch of SVIDs: keys made here, in memory; requests signed; answers checked before anyone sees them. */

import { Buffer } from 'node:buffer';
import { retryHintOf, type SignX509SvidsResponse_Chain } from '../../api/index.ts';
import { type Clock, describeError, type Random } from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  type VerifiedPairs,
} from '../../pki/index.ts';
import type { BundleSet } from '../../spiffe/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';
import { checkChain } from '../node-svid.ts';
import { renewAtMs } from '../renewal-time.ts';
import type { EntrySvid } from './entry-svid.ts';

export type IssueOutcome =
  | { readonly kind: 'issued'; readonly svid: EntrySvid }
  | {
      readonly kind: 'refused';
      readonly entryId: string;
      readonly reason: string;
      /** The CA's own word for it; absent if the refusal is ours. */
      readonly code?: string;
      /** When to try again, if the CA was too busy and said so. */
      readonly retryAfterMs?: number;
    };

export interface IssueDeps {
  readonly api: NodeApi;
  readonly bundles: () => BundleSet;
  readonly verifiedPairs: VerifiedPairs;
  readonly clock: Clock;
  readonly random: Random;
}

/** One outcome per entry, in order. Rejects with RpcError if the CA did not answer at all. */
export async function issueSvids(
  entries: readonly AgentEntry[],
  deps: IssueDeps,
): Promise<readonly IssueOutcome[]> {
  const requests = await Promise.all(entries.map((entry) => prepare(entry)));
  const answer = await deps.api.signX509Svids({
    items: requests.map(({ entry, csr }) => ({
      entryId: entry.id,
      csr: Buffer.from(csr),
      selectors: [...(entry.derivedFrom ?? [])],
    })),
  });
  return requests.map((request, index) => {
    const outcome = answer.items[index]?.outcome;
    if (outcome === undefined) return refused(request, 'the CA gave no answer for it');
    if (outcome.$case === 'chain') return accept(request, outcome.value, deps);
    const { code, detail } = outcome.value;
    return { ...refused(request, `${code}: ${detail}`, retryHintOf(detail)), code };
  });
}

type PreparedRequest = Awaited<ReturnType<typeof prepare>>;

async function prepare(entry: AgentEntry) {
  const { privateKey } = generateKeyPair('ec-p256');
  const signer = keySigner(privateKey);
  const csr = await createCertificateRequest(signer);
  // The signer's, which has been encoded for the request: the answer is compared with that.
  return { entry, privateKey, publicKey: signer.publicKey, csr };
}

function accept(
  request: PreparedRequest,
  { certificates, cappedBy }: SignX509SvidsResponse_Chain,
  { bundles, clock, random, verifiedPairs }: IssueDeps,
): IssueOutcome {
  const { entry, privateKey, publicKey } = request;
  const atMs = clock.wallMs();
  try {
    const checked = checkChain({
      certificates,
      publicKey,
      bundles: bundles(),
      atMs,
      verifiedPairs,
    });
    if (checked.id !== entry.spiffeId) return refused(request, `the CA answered ${checked.id}`);
    return {
      kind: 'issued',
      svid: {
        entryId: entry.id,
        entryRevision: entry.revision,
        svid: { id: checked.id, chain: checked.chain, privateKey },
        rootKeyId: checked.rootKeyId,
        notAfterMs: checked.notAfterMs,
        renewAtMs: renewAtMs(atMs, checked.notAfterMs, random),
        issuedAtMs: atMs,
        ...(cappedBy === undefined ? {} : { cappedBy: cappedBy.slice(0, capLengthMax) }),
      },
    };
  } catch (error) {
    return refused(request, describeError(error));
  }
}

function refused({ entry }: PreparedRequest, reason: string, retryAfterMs?: number): IssueOutcome {
  const outcome = { kind: 'refused', entryId: entry.id, reason } as const;
  return retryAfterMs === undefined ? outcome : { ...outcome, retryAfterMs };
}

// One word.
const capLengthMax = 32;
