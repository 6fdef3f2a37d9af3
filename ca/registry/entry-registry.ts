/** Registration entries in the store: at most one for each parent, SPIFFE ID and set of selectors. */

import { canonicalJson, utf8Text } from '../../core/index.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import { applyImport } from './apply-import.ts';
import { isEntryId, newEntryId } from './entry-id.ts';
import { parseRegistrationEntry } from './parse-registration-entry.ts';
import { entryCodec, entryIdCodec } from './record-codec.ts';
import { entryIdentity, type EntrySpec, type RegistrationEntry } from './registration-entry.ts';
import type { EntryChangeOptions, EntryRegistry, Recorder, RegistryDeps } from './registry.ts';
import { RegistryError } from './registry-error.ts';
import { readPage, untilSettled } from './store-records.ts';

export function entryRegistry(deps: RegistryDeps): EntryRegistry {
  const { store } = deps;
  return {
    async createEntry(draft, record) {
      const createdAtMs = deps.clock.wallMs();
      const spec = parseRegistrationEntry(draft, deps.trustDomain, createdAtMs);
      const id = newEntryId(createdAtMs, deps.random);
      const entry = { ...spec, id, createdAtMs, revision: 1 };
      return untilSettled(() => insert(deps, entry, record));
    },

    async updateEntry(id, draft, options = {}) {
      const spec = parseRegistrationEntry(draft, deps.trustDomain, deps.clock.wallMs());
      return untilSettled(() => replace(deps, id, spec, options));
    },

    async getEntry(id) {
      if (!isEntryId(id)) return undefined;
      const item = await store.get(storeKeys.entry(id));
      return item === undefined ? undefined : entryCodec.decode(item);
    },

    listEntries: ({ after, limit, parentId, spiffeId } = {}) =>
      readPage(store, {
        prefix: storePrefixes.entries,
        codec: entryCodec,
        after,
        limit,
        accept: (entry) =>
          (parentId === undefined || entry.parentId === parentId) &&
          (spiffeId === undefined || entry.spiffeId === spiffeId),
      }),

    applyImport: (changes, options) => applyImport(deps, changes, options),

    deleteEntry: (id, { expectedRevision, record } = {}) =>
      untilSettled(async () => {
        const { entry, modRevision } = await readEntry(deps, id);
        checkRevision(entry, expectedRevision);
        await record?.(entry);
        const key = storeKeys.entry(id);
        const result = await store.commit({
          compare: [{ key, modRevision }],
          deletes: [key, identityKey(entry)],
        });
        return result.kind === 'conflict' ? 'conflict' : entry;
      }),
  };
}

async function insert(
  deps: RegistryDeps,
  entry: RegistrationEntry,
  record: Recorder<RegistrationEntry> | undefined,
): Promise<RegistrationEntry | 'conflict'> {
  const identity = identityKey(entry);
  // Before the record, which must not tell of what could not be.
  await refuseDuplicate(deps, entry);
  await record?.(entry);
  const result = await deps.store.commit({
    compare: [
      { key: identity, modRevision: 0 },
      { key: storeKeys.entry(entry.id), modRevision: 0 },
    ],
    puts: [
      { key: storeKeys.entry(entry.id), value: entryCodec.encode(entry) },
      { key: identity, value: entryIdCodec.encode(entry.id) },
    ],
  });
  return result.kind === 'committed' ? entry : 'conflict';
}

async function replace(
  deps: RegistryDeps,
  id: string,
  spec: EntrySpec,
  { expectedRevision, record }: EntryChangeOptions,
): Promise<RegistrationEntry | 'conflict'> {
  const { entry: old, modRevision } = await readEntry(deps, id);
  checkRevision(old, expectedRevision);
  const entry = { ...spec, id, createdAtMs: old.createdAtMs, revision: old.revision + 1 };
  // Without a change the revision stays, or every SVID of the entry would be made anew for nothing.
  if (isSame({ ...entry, revision: old.revision }, old)) return old;
  const key = storeKeys.entry(id);
  const [before, after] = [identityKey(old), identityKey(entry)];
  const moved = before !== after;
  if (moved) await refuseDuplicate(deps, entry);
  await record?.(entry);
  const result = await deps.store.commit({
    compare: [{ key, modRevision }, ...(moved ? [{ key: after, modRevision: 0 }] : [])],
    puts: [
      { key, value: entryCodec.encode(entry) },
      ...(moved ? [{ key: after, value: entryIdCodec.encode(id) }] : []),
    ],
    deletes: moved ? [before] : [],
  });
  return result.kind === 'committed' ? entry : 'conflict';
}

/** Of two operators who read the same entry, the second to write is told so. */
function checkRevision({ id, revision }: RegistrationEntry, expected: number | undefined): void {
  if (expected === undefined || revision === expected) return;
  throw new RegistryError(
    'entry_changed',
    `entry ${id} is at revision ${revision}, not ${expected}`,
    {
      remedy: 'read it again, and decide anew',
    },
  );
}

/** Names the entry that stands in the way. */
async function refuseDuplicate(deps: RegistryDeps, entry: EntrySpec): Promise<void> {
  const item = await deps.store.get(identityKey(entry));
  if (item === undefined) return;
  const existingId = utf8Text(item.value) ?? '';
  throw new RegistryError(
    'entry_exists',
    `entry ${existingId} already gives ${entry.spiffeId} to the same selectors under ${entry.parentId}`,
    { existingId, remedy: 'change that entry, or delete it first' },
  );
}

async function readEntry(
  deps: RegistryDeps,
  id: string,
): Promise<{ readonly entry: RegistrationEntry; readonly modRevision: number }> {
  const item = isEntryId(id) ? await deps.store.get(storeKeys.entry(id)) : undefined;
  if (item === undefined) {
    throw new RegistryError('entry_not_found', `no entry ${JSON.stringify(id.slice(0, 80))}`, {
      remedy: 'see signet entry list',
    });
  }
  return { entry: entryCodec.decode(item), modRevision: item.modRevision };
}

function identityKey(spec: EntrySpec): string {
  return storeKeys.entryIdentity(entryIdentity(spec));
}

function isSame(left: RegistrationEntry, right: RegistrationEntry): boolean {
  return canonicalJson({ ...left }) === canonicalJson({ ...right });
}
