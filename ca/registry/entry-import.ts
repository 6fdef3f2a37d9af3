/**
 * Bulk import: what stands compared with what a file says, as a plan that can be shown before it is
 * carried out. An entry is known by what it is (parent, SPIFFE ID, selectors), so a file needs no ids,
 * and the same file can be imported again with nothing to do.
 */

import { afterTurn, canonicalJson } from '../../core/index.ts';
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

/**
 * All drafts are judged before any is planned: one fault refuses the whole. Touches nothing. In slices, between
 * which everybody else has a turn: a hundred thousand entries take seconds, and nodes wait for their pushes.
 */
export async function planImport(p: {
  readonly drafts: readonly EntryDraft[];
  readonly present: readonly RegistrationEntry[];
  /** Also remove what stands and is not in the import. */
  readonly prune: boolean;
  readonly trustDomain: TrustDomain;
  readonly nowMs: number;
  /** Told after each slice. */
  readonly onSlice?: () => void;
}): Promise<ImportPlan> {
  const { onSlice = () => {} } = p;
  const wanted = new Map<string, Wanted>();
  const faults: ImportFault[] = [];
  for await (const slice of slicesOf(p.drafts.entries(), onSlice)) {
    for (const [index, draft] of slice) faults.push(...readDraft(wanted, index, draft, p));
  }
  if (faults.length > 0) return { kind: 'refused', faults: faults.slice(0, faultsMax) };

  const present = new Map<string, RegistrationEntry>();
  for await (const slice of slicesOf(p.present, onSlice)) {
    for (const entry of slice) present.set(entryIdentity(entry), entry);
  }
  const changes: EntryChange[] = [];
  for await (const slice of slicesOf(wanted, onSlice)) {
    for (const [identity, each] of slice) changes.push(...changeOf(present.get(identity), each));
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

async function* slicesOf<T>(items: Iterable<T>, onSlice: () => void): AsyncGenerator<readonly T[]> {
  let slice: T[] = [];
  for (const item of items) {
    slice.push(item);
    if (slice.length < sliceItems) continue;
    yield slice;
    slice = [];
    onSlice();
    await new Promise<void>((resolve) => {
      afterTurn(resolve);
    });
  }
  if (slice.length > 0) yield slice;
}

/** Puts a draft where its identity says; what is wrong with it. */
function readDraft(
  wanted: Map<string, Wanted>,
  index: number,
  draft: EntryDraft,
  { trustDomain, nowMs }: { readonly trustDomain: TrustDomain; readonly nowMs: number },
): readonly ImportFault[] {
  try {
    const spec = parseRegistrationEntry(draft, trustDomain, nowMs);
    const identity = entryIdentity(spec);
    const first = wanted.get(identity);
    if (first !== undefined) return [{ index, ...duplicateOf(first) }];
    wanted.set(identity, { index, spec });
    return [];
  } catch (error) {
    if (!(error instanceof EntryError)) throw error;
    return error.faults.map((fault: EntryFault) => ({ index, ...fault }));
  }
}

function changeOf(
  old: RegistrationEntry | undefined,
  { index, spec }: Wanted,
): readonly EntryChange[] {
  if (old === undefined) return [{ kind: 'add', index, spec }];
  const fields = fieldsThatDiffer(old, spec);
  return fields.length === 0 ? [] : [{ kind: 'change', index, old, spec, fields }];
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
  'jwtSvidTtlMs',
  'dnsNames',
  'hint',
  'federatesWith',
  'admin',
  'priority',
  'expiresAtMs',
] as const;

// More than this nobody reads before mending the first ones.
const faultsMax = 100;
// A few milliseconds' work, which is what a push to a node may wait.
const sliceItems = 200;
