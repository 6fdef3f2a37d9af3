/** Who may get which certificate: each kind of subject, what it is granted, and how that is recorded. */

import { type SpiffeId, spiffeIdOf, type TrustDomain } from '../../spiffe/index.ts';
import type { Actor, AuditedCertificate, AuditEvent } from '../audit/event.ts';
import type { Lifetimes } from '../authority/lifetimes.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { type IssuanceRefusal, refuse } from './issuance-refusal.ts';
import type { PolicyMark } from './policy.ts';

/** A node that calls, known by its verified certificate. */
export interface NodeCaller {
  readonly id: SpiffeId;
  readonly address: string;
}

export type IssuanceSubject =
  /** A workload on the calling node, under one of the entries the node may serve. */
  | {
      readonly kind: 'workload';
      readonly caller: NodeCaller;
      readonly entryId: string;
      /** What the agent attests of the workload, for an identity that is derived from it. */
      readonly selectors?: readonly string[];
    }
  /** A node that has just been attested. */
  | {
      readonly kind: 'attested_node';
      readonly caller: NodeCaller;
      readonly attestor: string;
      readonly selectors: readonly string[];
    }
  /** A node that has a certificate and wants the next one. */
  | { readonly kind: 'renewing_node'; readonly caller: NodeCaller }
  /** The CA's own server. */
  | { readonly kind: 'ca_server' };

/** What authorization needs to know, each answered by the registry. */
export interface SubjectDeps {
  readonly trustDomain: TrustDomain;
  readonly lifetimes: Lifetimes;
  isNode(id: SpiffeId): boolean | Promise<boolean>;
  /** The entry, if this node may serve it (to a workload with these selectors, if it is derived from them). */
  authorizedEntry(
    nodeId: SpiffeId,
    entryId: string,
    selectors?: readonly string[],
  ): RegistrationEntry | undefined;
}

export interface AuthorizedEntry {
  readonly kind: 'authorized';
  readonly entry: RegistrationEntry;
}

export interface Grant {
  readonly kind: 'granted';
  readonly id: SpiffeId;
  readonly dnsNames: readonly string[];
  readonly ttlMs: number;
  readonly entryId?: string;
  /** When the entry ends; no certificate of it lives longer. */
  readonly endsAtMs?: number | undefined;
  /** Of a workload; the operator's policy is about these. */
  readonly workload?: { readonly nodeId: SpiffeId; readonly entry: RegistrationEntry };
  event(certificate: AuditedCertificate, policy?: PolicyMark): AuditEvent;
}

/** What the subject may have, or why it may have nothing. */
export async function authorize(
  deps: SubjectDeps,
  subject: IssuanceSubject,
): Promise<Grant | IssuanceRefusal> {
  if (subject.kind === 'ca_server') return grantServer(deps);
  if (subject.kind === 'attested_node') return grantAttested(deps, subject);
  const { caller } = subject;
  if (subject.kind === 'renewing_node') {
    return (await unknownNode(deps, caller)) ?? grantRenewal(deps, caller);
  }
  const { entryId, selectors = [] } = subject;
  const authorized = await authorizeEntry(deps, caller, entryId, selectors);
  if (authorized.kind === 'refused') return authorized;
  return grantWorkload(deps, caller, authorized.entry, selectors.length > 0);
}

/** The entry, if this node may serve it. */
export async function authorizeEntry(
  deps: Pick<SubjectDeps, 'isNode' | 'authorizedEntry'>,
  caller: NodeCaller,
  entryId: string,
  selectors: readonly string[] = [],
): Promise<AuthorizedEntry | IssuanceRefusal> {
  const unknown = await unknownNode(deps, caller);
  if (unknown !== undefined) return unknown;
  const entry = deps.authorizedEntry(caller.id, entryId, selectors);
  if (entry !== undefined) return { kind: 'authorized', entry };
  // One answer for "no such entry" and "not yours": a node learns nothing of other nodes' entries.
  return refuse(
    'permission_denied',
    'entry_not_authorized',
    `node ${caller.id} may not serve entry ${JSON.stringify(entryId.slice(0, 64))}`,
  );
}

/** A node was attested before it could call, but may have been removed since. */
async function unknownNode(
  { isNode }: Pick<SubjectDeps, 'isNode'>,
  { id }: NodeCaller,
): Promise<IssuanceRefusal | undefined> {
  if (await isNode(id)) return undefined;
  return refuse('permission_denied', 'node_unknown', `node ${id} is not registered here any more`);
}

function grantServer({ trustDomain, lifetimes }: SubjectDeps): Grant {
  const id = caServerId(trustDomain);
  const act = { actor: { kind: 'system', id }, type: 'svid.issued' } as const;
  return grantOf(id, lifetimes.nodeSvidMs, (certificate) => ({ ...act, certificate }));
}

function grantAttested(
  { lifetimes }: SubjectDeps,
  { caller, attestor, selectors }: Extract<IssuanceSubject, { kind: 'attested_node' }>,
): Grant {
  const act = { type: 'node.attested', nodeId: caller.id, attestor, selectors } as const;
  const actor = actorOf(caller);
  return grantOf(caller.id, lifetimes.nodeSvidMs, (certificate) => ({
    actor,
    ...act,
    certificate,
  }));
}

function grantRenewal({ lifetimes }: SubjectDeps, caller: NodeCaller): Grant {
  const act = { actor: actorOf(caller), type: 'node.renewed', nodeId: caller.id } as const;
  return grantOf(caller.id, lifetimes.nodeSvidMs, (certificate) => ({ ...act, certificate }));
}

function grantWorkload(
  deps: SubjectDeps,
  caller: NodeCaller,
  entry: RegistrationEntry,
  isDerived: boolean,
): Grant {
  const actor = actorOf(caller);
  // An entry's selectors are in the record that made it; those of a derived one are nowhere else.
  const workload = isDerived ? { workloadSelectors: entry.selectors } : {};
  return {
    kind: 'granted',
    id: entry.spiffeId,
    dnsNames: entry.dnsNames,
    ttlMs: entry.x509SvidTtlMs ?? deps.lifetimes.x509SvidMs,
    entryId: entry.id,
    endsAtMs: entry.expiresAtMs,
    workload: { nodeId: caller.id, entry },
    event: (certificate, policy) => ({
      actor,
      type: 'svid.issued',
      certificate: { ...certificate, ...workload },
      ...(policy === undefined ? {} : { policy }),
    }),
  };
}

/** The ID of the CA's own server certificate. */
export function caServerId(trustDomain: TrustDomain): SpiffeId {
  return spiffeIdOf(trustDomain, '/signet/ca');
}

function grantOf(id: SpiffeId, ttlMs: number, event: Grant['event']): Grant {
  return { kind: 'granted', id, dnsNames: [], ttlMs, event };
}

function actorOf({ id, address }: NodeCaller): Actor {
  return { kind: 'node', id, address };
}
