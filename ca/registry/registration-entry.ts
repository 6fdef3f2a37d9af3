/** A registration entry: which workloads, on which nodes, get which SPIFFE ID. */

import { hash } from 'node:crypto';
import { CodedError } from '../../core/index.ts';
import type { SpiffeId, TrustDomain } from '../../spiffe/index.ts';
import type { Selector } from './selector.ts';

export interface RegistrationEntry extends EntrySpec {
  readonly id: string;
  readonly createdAtMs: number;
  /** 1 when created, one more at each update: an SVID made under an older one must be made anew. */
  readonly revision: number;
}

/** The part of an entry that an operator decides. */
export interface EntrySpec {
  readonly spiffeId: SpiffeId;
  /** The node whose workloads may have it: a node's SPIFFE ID, a node alias, or the CA's own ID. */
  readonly parentId: SpiffeId;
  /** All must hold of the workload (of the node, in a node alias). Sorted, never empty. */
  readonly selectors: readonly Selector[];
  /** Absent: the CA's default. */
  readonly x509SvidTtlMs?: number;
  /** The longest life of a JWT-SVID, and how long one lives that asks for nothing. Absent: the CA's default. */
  readonly jwtSvidTtlMs?: number;
  readonly dnsNames: readonly string[];
  /** Tells a workload with several identities which is for what; '' for none. */
  readonly hint: string;
  readonly federatesWith: readonly TrustDomain[];
  /** Whether whoever has an SVID by this very entry has the admin role on the admin API. */
  readonly admin: boolean;
  /** The higher comes first among a workload's identities; equals are ordered by age. */
  readonly priority: number;
  /** From then on it gives nobody an identity, and is deleted soon. Absent: it stands until deleted. */
  readonly expiresAtMs?: number;
}

/** What an operator wrote, unchecked. */
export interface EntryDraft {
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly x509SvidTtlMs?: number | undefined;
  readonly jwtSvidTtlMs?: number | undefined;
  readonly dnsNames?: readonly string[] | undefined;
  readonly hint?: string | undefined;
  readonly federatesWith?: readonly string[] | undefined;
  readonly admin?: boolean | undefined;
  readonly priority?: number | undefined;
  readonly expiresAtMs?: number | undefined;
}

export type EntryFaultCode =
  | 'entry_spiffe_id'
  | 'entry_trust_domain'
  | 'entry_root_path'
  | 'entry_reserved_path'
  | 'entry_parent_id'
  | 'entry_selectors_empty'
  | 'entry_selectors_many'
  | 'entry_selector'
  | 'entry_ttl'
  | 'entry_dns_name'
  | 'entry_dns_names_many'
  | 'entry_hint'
  | 'entry_federates_with'
  | 'entry_federates_with_many'
  | 'entry_priority'
  | 'entry_expiry';

export interface EntryFault {
  readonly field: string;
  readonly code: EntryFaultCode;
  readonly detail: string;
}

/** Every fault of one draft; `code` is the first one's. */
export class EntryError extends CodedError<EntryFaultCode> {
  override readonly name = 'EntryError';
  override readonly kind = 'invalid_argument';
  readonly faults: readonly EntryFault[];

  constructor(first: EntryFault, rest: readonly EntryFault[]) {
    const faults = [first, ...rest];
    super(first.code, faults.map((fault) => `${fault.field}: ${fault.detail}`).join('; '));
    this.faults = faults;
  }
}

/** Equal for two entries that would give one identity to one set of workloads twice. */
export function entryIdentity(spec: EntrySpec): string {
  return hash('sha256', JSON.stringify([spec.parentId, spec.spiffeId, spec.selectors]), 'hex');
}

/** Under this path are the CA and its nodes; no entry may give such an ID to a workload. */
export function isReservedPath(path: string): boolean {
  return path === reservedPath || path.startsWith(`${reservedPath}/`);
}

export const reservedPath = '/signet';
