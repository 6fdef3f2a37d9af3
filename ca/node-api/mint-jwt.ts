/** MintJwtSvids: tokens for workloads of a node, one answer per item, in order. */

import {
  type MintJwtSvidsRequest,
  type MintJwtSvidsResponse,
  withRetryHint,
} from '../../api/index.ts';
import { CodedError, type Logger } from '../../core/index.ts';
import { OverloadedError } from '../guards/admission.ts';
import type { IssuanceGate } from '../guards/gate.ts';
import type { IssuanceRefusal } from '../issuance/issuance-refusal.ts';
import type { IssuanceDeps } from '../issuance/issue.ts';
import { authorizeEntry, type NodeCaller } from '../issuance/profile.ts';
import { type MintDeps, type MintedJwtSvid, mintJwtSvid } from '../jwt/mint-jwt-svid.ts';
import { NodeApiError } from './node-api-error.ts';

export interface MintJwtDeps {
  readonly jwt: MintDeps;
  readonly issuance: IssuanceDeps;
  readonly gate: IssuanceGate;
  readonly log: Logger;
}

type RequestItem = MintJwtSvidsRequest['items'][number];

/** A refusal, or a fault of ours, harms no other item. */
export async function mintJwtSvids(
  deps: MintJwtDeps,
  { items }: MintJwtSvidsRequest,
  caller: NodeCaller,
): Promise<MintJwtSvidsResponse> {
  if (items.length > itemsMax) {
    throw new NodeApiError(
      'invalid_argument',
      'items_many',
      `${items.length} tokens in one call, at most ${itemsMax} are made`,
    );
  }
  return { items: await Promise.all(items.map((item) => answerOf(deps, item, caller))) };
}

async function answerOf(
  deps: MintJwtDeps,
  item: RequestItem,
  caller: NodeCaller,
): Promise<MintJwtSvidsResponse['items'][number]> {
  try {
    // The same turns and rates as certificates: a signature is a signature. One turn an item and none for the
    // call: who holds one while it waits for another can stop all issuance.
    const minted = await deps.gate.sign(caller.id, () => mintOne(deps, item, caller));
    if (minted.kind === 'refused') {
      const { reason, code, detail } = minted;
      return { outcome: { $case: 'refusal', value: { kind: reason, code, detail } } };
    }
    const { token, expiresAtMs } = minted;
    return { outcome: { $case: 'minted', value: { token, expiresAtMs: BigInt(expiresAtMs) } } };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const level = error instanceof OverloadedError ? 'debug' : 'error';
    deps.log[level]('minting failed', { node: caller.id, reason: error.message });
    const { kind, code, message, retryAfterMs } = error;
    const detail = retryAfterMs === undefined ? message : withRetryHint(message, retryAfterMs);
    return { outcome: { $case: 'refusal', value: { kind, code, detail } } };
  }
}

async function mintOne(
  deps: MintJwtDeps,
  { entryId, audience, ttlMs, selectors }: RequestItem,
  caller: NodeCaller,
): Promise<MintedJwtSvid | IssuanceRefusal> {
  const granted = await authorizeEntry(deps.issuance, caller, entryId, selectors);
  const actor = { kind: 'node', id: caller.id, address: caller.address } as const;
  if (granted.kind === 'refused') {
    const { code, detail } = granted;
    await deps.jwt.audit.append({
      actor,
      type: 'jwt.denied',
      refusal: { code, detail },
      // What a stranger calls an entry goes into the log no longer than an entry's id can be.
      entryId: entryId.slice(0, entryIdLengthMax),
      audience: [],
    });
    return granted;
  }
  return mintJwtSvid(deps.jwt, {
    actor,
    entry: granted.entry,
    isDerived: selectors.length > 0,
    nodeId: caller.id,
    audience,
    ...(ttlMs === 0n ? {} : { ttlMs: Number(ttlMs) }),
  });
}

// As many as certificates in one call.
const itemsMax = 256;
const entryIdLengthMax = 192;
