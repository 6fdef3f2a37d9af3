/** Renew and SignX509Svids: certificates for a node that is known, and for the workloads on it. */

import {
  type RenewRequest,
  type RenewResponse,
  type SignX509SvidsRequest,
  type SignX509SvidsRequest_Item,
  type SignX509SvidsResponse,
  type SignX509SvidsResponse_Item,
  withRetryHint,
} from '../../api/index.ts';
import { type Clock, CodedError, type Logger } from '../../core/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { OverloadedError } from '../guards/admission.ts';
import type { IssuanceGate } from '../guards/gate.ts';
import { type IssuanceRefusal, IssuanceRefusedError } from '../issuance/issuance-refusal.ts';
import { type IssuanceDeps, issueX509Svid } from '../issuance/issue.ts';
import type { NodeCaller } from '../issuance/profile.ts';
import type { Registry } from '../registry/registry.ts';
import { NodeApiError } from './node-api-error.ts';

export interface SignDeps {
  readonly issuance: IssuanceDeps;
  readonly gate: IssuanceGate;
  readonly registry: Pick<Registry, 'updateNode'>;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Throws {@link IssuanceRefusedError}, RegistryError if the node was removed meanwhile, or what the gate
 * throws.
 */
export function renewNode(
  deps: SignDeps,
  request: RenewRequest,
  caller: NodeCaller,
): Promise<RenewResponse> {
  return deps.gate.sign(caller.id, () => renewNow(deps, request, caller));
}

async function renewNow(
  deps: SignDeps,
  request: RenewRequest,
  caller: NodeCaller,
): Promise<RenewResponse> {
  const issued = await issueX509Svid(deps.issuance, {
    subject: { kind: 'renewing_node', caller },
    csr: new Uint8Array(request.csr),
  });
  if (issued.kind === 'refused') throw new IssuanceRefusedError(issued);
  await deps.registry.updateNode(caller.id, (node) => ({
    ...node,
    serial: issued.serial,
    notAfterMs: issued.notAfterMs,
    renewedAtMs: deps.clock.wallMs(),
  }));
  return { chain: issued.chain.map((der) => Buffer.from(der)) };
}

/** One answer per item, in order. A refusal, or a fault of ours, harms no other item. */
export async function signX509Svids(
  deps: SignDeps,
  request: SignX509SvidsRequest,
  caller: NodeCaller,
): Promise<SignX509SvidsResponse> {
  const { items } = request;
  if (items.length > itemsMax) {
    throw new NodeApiError(
      'invalid_argument',
      'items_many',
      `${items.length} requests in one call, at most ${itemsMax} are taken`,
    );
  }
  // One turn an item: a full batch of one node and the single request of another take turns.
  return { items: await Promise.all(items.map((item) => signInTurn(deps, item, caller))) };
}

async function signInTurn(
  deps: SignDeps,
  item: SignX509SvidsRequest_Item,
  caller: NodeCaller,
): Promise<SignX509SvidsResponse_Item> {
  try {
    return await deps.gate.sign(caller.id, () => signOne(deps, item, caller));
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    // A caller that is sent away may be so a thousand times a second.
    const level = error instanceof OverloadedError ? 'debug' : 'error';
    deps.log[level]('signing failed', { node: caller.id, reason: error.message });
    const { kind, code, message, retryAfterMs } = error;
    const detail = retryAfterMs === undefined ? message : withRetryHint(message, retryAfterMs);
    return { outcome: { $case: 'refusal', value: { kind, code, detail } } };
  }
}

async function signOne(
  deps: SignDeps,
  item: SignX509SvidsRequest_Item,
  caller: NodeCaller,
): Promise<SignX509SvidsResponse_Item> {
  const issued = await issueX509Svid(deps.issuance, {
    subject: { kind: 'workload', caller, entryId: item.entryId, selectors: item.selectors },
    csr: new Uint8Array(item.csr),
  });
  if (issued.kind === 'refused') return refused(deps, item, caller, issued);
  const certificates = issued.chain.map((der) => Buffer.from(der));
  // Told, for the agent cannot know the entry's end: it explains why a certificate is shorter than asked for.
  const { cappedBy } = issued;
  const value = { certificates, ...(cappedBy === undefined ? {} : { cappedBy }) };
  return { outcome: { $case: 'chain', value } };
}

async function refused(
  deps: SignDeps,
  item: SignX509SvidsRequest_Item,
  caller: NodeCaller,
  { reason, code, detail, policy }: IssuanceRefusal,
): Promise<SignX509SvidsResponse_Item> {
  await deps.audit.append({
    actor: { kind: 'node', id: caller.id, address: caller.address },
    type: 'svid.denied',
    refusal: { code, detail },
    entryId: item.entryId.slice(0, entryIdLengthMax),
    ...(policy === undefined ? {} : { policy }),
  });
  return { outcome: { $case: 'refusal', value: { kind: reason, code, detail } } };
}

// A signature and a verification take a fifth of a millisecond; this many keep others waiting 50 ms.
const itemsMax = 256;
// What a stranger calls an entry goes into the log no longer than an entry's id can be: that of a rule's
// names the rule and the node.
const entryIdLengthMax = 192;
