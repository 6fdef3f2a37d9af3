/**
 * Bulk import: what stands compared with what a file says, as a plan that can be shown before it is
 * carried out. An entry is known by what it is (parent, SPIFFE ID, selectors), so a file needs no ids,
 * and the same file can be imported again with nothing to do.
 */

import { canonicalJson } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import { parseRegistrationEntry } from './parse-registration-entry.ts';
import {
  type EntryDraft,
  EntryError,
  type EntryFault,
  entryIdentity,
  type EntrySpec,
  type RegistrationEntry,
} from './registration-entry.ts';

export type EntryChange =
  | { readonly kind: 'add'; readonly index: number; readonly spec: EntrySpec }
  | {
      readonly kind: 'change';
      readonly index: number;
      readonly old: RegistrationEntry;
      readonly spec: EntrySpec;
      /** Which members differ. */
      readonly fields: readonly string[];
    }
  | { readonly kind: 'remove'; readonly old: RegistrationEntry };

/** One fault of one entry; `index` is its place in the import, from 0. */
export interface ImportFault {
  readonly index: number;
  readonly field: string;
  readonly code: string;
  readonly detail: string;
}

export type ImportPlan =
  /** In the order of the file, removals last; what is as it should be is not in it. */
  | {
      readonly kind: 'planned';
      readonly changes: readonly EntryChange[];
      readonly unchanged: number;
    }
  | { readonly kind: 'refused'; readonly faults: readonly ImportFault[] };

/** All drafts are judged before any is planned: one fault refuses the whole. Pure. */
export function planImport(p: {
  readonly drafts: readonly EntryDraft[];
  readonly present: readonly RegistrationEntry[];
  /** Also remove what stands and is not in the import. */
  readonly prune: boolean;
  readonly trustDomain: TrustDomain;
  readonly nowMs: number;
}): ImportPlan {
  const { wanted, faults } = readDrafts(p.drafts, p.trustDomain, p.nowMs);
  if (faults.length > 0) return { kind: 'refused', faults: faults.slice(0, faultsMax) };
  const changes: EntryChange[] = [];
  const present = new Map(p.present.map((entry) => [entryIdentity(entry), entry]));
  for (const [identity, { index, spec }] of wanted) {
    const old = present.get(identity);
    if (old === undefined) {
      changes.push({ kind: 'add', index, spec });
      continue;
    }
    const fields = fieldsThatDiffer(old, spec);
    if (fields.length > 0) changes.push({ kind: 'change', index, old, spec, fields });
  }
  const unchanged = wanted.size - changes.length;
  if (p.prune) {
    for (const [identity, old] of present) {
      if (!wanted.has(identity)) changes.push({ kind: 'remove', old });
    }
  }
  return { kind: 'planned', changes, unchanged };
}

interface Wanted {
  readonly index: number;
  readonly spec: EntrySpec;
}

function readDrafts(
  drafts: readonly EntryDraft[],
  trustDomain: TrustDomain,
  nowMs: number,
): { readonly wanted: ReadonlyMap<string, Wanted>; readonly faults: readonly ImportFault[] } {
  const wanted = new Map<string, Wanted>();
  const faults: ImportFault[] = [];
  for (const [index, draft] of drafts.entries()) {
    try {
      const spec = parseRegistrationEntry(draft, trustDomain, nowMs);
      const identity = entryIdentity(spec);
      const first = wanted.get(identity);
      if (first === undefined) wanted.set(identity, { index, spec });
      else faults.push({ index, ...duplicateOf(first) });
    } catch (error) {
      if (!(error instanceof EntryError)) throw error;
      faults.push(...error.faults.map((fault: EntryFault) => ({ index, ...fault })));
    }
  }
  return { wanted, faults };
}

function duplicateOf({ index, spec }: Wanted): Omit<ImportFault, 'index'> {
  const detail = `is the same as entry ${index + 1}: ${spec.spiffeId} for the same selectors`;
  return { field: '', code: 'entry_twice', detail };
}

function fieldsThatDiffer(old: RegistrationEntry, spec: EntrySpec): readonly string[] {
  return decidedFields.filter((field) => {
    const [before, after] = [old[field], spec[field]];
    if (Array.isArray(before) && Array.isArray(after)) {
      return canonicalJson([...before]) !== canonicalJson([...after]);
    }
    return before !== after;
  });
}

/** What an operator decides beyond an entry's identity. */
const decidedFields = [
  'x509SvidTtlMs',
  'dnsNames',
  'hint',
  'federatesWith',
  'admin',
  'priority',
  'expiresAtMs',
] as const;

// More than this nobody reads before mending the first ones.
const faultsMax = 100;
