/** Carries out an import plan, in transactions as large as the store takes. */

import { storeKeys } from '../store/key-layout.ts';
import type { Compare, Put, Store } from '../store/store.ts';
import type { EntryChange } from './entry-import.ts';
import { newEntryId } from './entry-id.ts';
import { entryCodec, entryIdCodec } from './record-codec.ts';
import { entryIdentity, type RegistrationEntry } from './registration-entry.ts';
import type { EntryRegistry, RegistryDeps } from './registry.ts';
import { RegistryError } from './registry-error.ts';

/** What was done: the entry that stands now, or that stood. */
export interface AppliedChange {
  readonly kind: EntryChange['kind'];
  readonly entry: RegistrationEntry;
}

/**
 * Throws {@link RegistryError} `entry_changed` when somebody else has changed one of the entries since
 * they were compared. Each batch is recorded, then whole or not done; those before it stand, and `onBatch` was
 * told of them, so the same import again does the rest.
 */
export async function applyImport(
  deps: RegistryDeps,
  changes: readonly EntryChange[],
  { record, onBatch }: Parameters<EntryRegistry['applyImport']>[1],
): Promise<void> {
  for (const batch of batchesOf(changes)) {
    // One after the other, so that no more than one batch is on record and does not stand.
    const steps = await Promise.all(batch.map((change) => stepOf(deps, change)));
    const applied = steps.map((step) => step.applied);
    await record(applied);
    await commit(deps, steps);
    onBatch?.(applied);
  }
}

function* batchesOf(changes: readonly EntryChange[]): Generator<readonly EntryChange[]> {
  let batch: EntryChange[] = [];
  let bytes = 0;
  for (const change of changes) {
    batch.push(change);
    bytes += change.kind === 'remove' ? 0 : Buffer.byteLength(JSON.stringify(change.spec));
    if (batch.length < batchMax && bytes < batchBytesMax) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

async function commit(deps: RegistryDeps, steps: readonly Step[]): Promise<void> {
  const result = await deps.store.commit({
    compare: steps.flatMap(({ compare }) => compare),
    puts: steps.flatMap(({ puts }) => puts),
    deletes: steps.flatMap(({ deletes }) => deletes),
  });
  if (result.kind === 'conflict') throw changedMeanwhile(result.key);
}

interface Step {
  readonly applied: AppliedChange;
  readonly compare: readonly Compare[];
  readonly puts: readonly Put[];
  readonly deletes: readonly string[];
}

async function stepOf(deps: RegistryDeps, change: EntryChange): Promise<Step> {
  if (change.kind === 'add') {
    const createdAtMs = deps.clock.wallMs();
    const id = newEntryId(createdAtMs, deps.random);
    const entry: RegistrationEntry = { ...change.spec, id, createdAtMs, revision: 1 };
    const identity = storeKeys.entryIdentity(entryIdentity(entry));
    if ((await deps.store.get(identity)) !== undefined) throw changedMeanwhile(identity);
    return {
      applied: { kind: 'add', entry },
      compare: [{ key: identity, modRevision: 0 }],
      puts: [putOf(entry), { key: identity, value: entryIdCodec.encode(id) }],
      deletes: [],
    };
  }
  const { old } = change;
  const key = storeKeys.entry(old.id);
  const compare = [{ key, modRevision: await revisionOf(deps.store, key, old) }];
  if (change.kind === 'remove') {
    const identity = storeKeys.entryIdentity(entryIdentity(old));
    const applied: AppliedChange = { kind: 'remove', entry: old };
    return { applied, compare, puts: [], deletes: [key, identity] };
  }
  const { id, createdAtMs, revision } = old;
  const entry: RegistrationEntry = { ...change.spec, id, createdAtMs, revision: revision + 1 };
  return { applied: { kind: 'change', entry }, compare, puts: [putOf(entry)], deletes: [] };
}

async function revisionOf(store: Store, key: string, old: RegistrationEntry): Promise<number> {
  const item = await store.get(key);
  if (item === undefined || entryCodec.decode(item).revision !== old.revision) {
    throw changedMeanwhile(key);
  }
  return item.modRevision;
}

function putOf(entry: RegistrationEntry): Put {
  return { key: storeKeys.entry(entry.id), value: entryCodec.encode(entry) };
}

function changedMeanwhile(key: string): RegistryError {
  return new RegistryError('entry_changed', `${key} was changed while the import was under way`, {
    remedy: 'import again; what is done already is left as it is',
  });
}

// A store's transaction has at most 1,024 operations, of which one entry takes up to four, and 1 MiB, of
// which the largest entry that the registry takes fills less than half.
const batchMax = 200;
const batchBytesMax = 512 * 1024;
