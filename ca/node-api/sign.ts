/** Renew and SignX509Svids: certificates for a node that is known, and for the workloads on it. */

import type {
  RenewRequest,
  RenewResponse,
  SignX509SvidsRequest,
  SignX509SvidsRequest_Item,
  SignX509SvidsResponse,
  SignX509SvidsResponse_Item,
} from '../../api/index.ts';
import { type Clock, CodedError, type Logger } from '../../core/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { type IssuanceRefusal, IssuanceRefusedError } from '../issuance/issuance-refusal.ts';
import { type IssuanceDeps, issueX509Svid } from '../issuance/issue.ts';
import type { NodeCaller } from '../issuance/profile.ts';
import type { Registry } from '../registry/registry.ts';
import { NodeApiError } from './node-api-error.ts';

export interface SignDeps {
  readonly issuance: IssuanceDeps;
  readonly registry: Pick<Registry, 'updateNode'>;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Throws {@link IssuanceRefusedError}, or RegistryError if the node was removed meanwhile. */
export async function renewNode(
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
  return { items: await Promise.all(items.map((item) => signOne(deps, item, caller))) };
}

async function signOne(
  deps: SignDeps,
  item: SignX509SvidsRequest_Item,
  caller: NodeCaller,
): Promise<SignX509SvidsResponse_Item> {
  try {
    const issued = await issueX509Svid(deps.issuance, {
      subject: { kind: 'workload', caller, entryId: item.entryId },
      csr: new Uint8Array(item.csr),
    });
    if (issued.kind === 'refused') return await refused(deps, item, caller, issued);
    const certificates = issued.chain.map((der) => Buffer.from(der));
    return { outcome: { $case: 'chain', value: { certificates } } };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    deps.log.error('signing failed', { node: caller.id, reason: error.message });
    const { kind, code, message } = error;
    return { outcome: { $case: 'refusal', value: { kind, code, detail: message } } };
  }
}

async function refused(
  deps: SignDeps,
  item: SignX509SvidsRequest_Item,
  caller: NodeCaller,
  { reason, code, detail }: IssuanceRefusal,
): Promise<SignX509SvidsResponse_Item> {
  await deps.audit.append({
    actor: { kind: 'node', id: caller.id, address: caller.address },
    type: 'svid.denied',
    refusal: { code, detail },
    entryId: item.entryId.slice(0, entryIdLengthMax),
  });
  return { outcome: { $case: 'refusal', value: { kind: reason, code, detail } } };
}

// A signature and a verification take a fifth of a millisecond; this many keep others waiting 50 ms.
const itemsMax = 256;
// What a stranger calls an entry goes into the log no longer than an entry's id can be.
const entryIdLengthMax = 64;
