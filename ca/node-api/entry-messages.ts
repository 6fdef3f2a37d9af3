/**
 * Entries on their way to nodes: each is made a message once, and encoded once, for all the nodes that
 * see it and for all the states that it is a part of.
 */

import { type Entry, NodeApiService, SyncResponse } from '../../api/index.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { Remembered } from './remembered.ts';

/** The same object for the same entry, for as long as it is remembered. */
export function entryMessage(entry: RegistrationEntry, defaultTtlMs: number): Entry {
  const known = messages.get(entry);
  if (known?.defaultTtlMs === defaultTtlMs) return known.message;
  const message: Entry = {
    id: entry.id,
    spiffeId: entry.spiffeId,
    selectors: [...entry.selectors],
    x509SvidTtlMs: BigInt(entry.x509SvidTtlMs ?? defaultTtlMs),
    dnsNames: [...entry.dnsNames],
    hint: entry.hint,
    priority: entry.priority,
    createdAtMs: BigInt(entry.createdAtMs),
    revision: BigInt(entry.revision),
    federatesWith: [...entry.federatesWith],
  };
  messages.set(entry, { defaultTtlMs, message });
  return message;
}

/** The NodeApi as the CA serves it: on the wire no different from the generated one. */
export const nodeApiDefinition: typeof NodeApiService = {
  ...NodeApiService,
  sync: { ...NodeApiService.sync, responseSerialize: encodeState },
};

/** Protocol Buffers, "Message Structure": fields may come in any order, and of repeated ones each stands alone. */
function encodeState(response: SyncResponse): Buffer {
  const known = states.get(response);
  if (known !== undefined) return known;
  const rest = SyncResponse.encode({ ...response, entries: [] }).finish();
  const bytes = Buffer.concat([rest, ...response.entries.map(encodedEntry)]);
  states.set(response, bytes);
  return bytes;
}

/** With the tag and the length that it has as a field of the state. */
function encodedEntry(entry: Entry): Uint8Array {
  const known = encodings.get(entry);
  if (known !== undefined) return known;
  const bytes = SyncResponse.encode({ ...emptyState, entries: [entry] }).finish();
  encodings.set(entry, bytes);
  return bytes;
}

const emptyState = SyncResponse.decode(new Uint8Array());
// About 15 MiB in all. A push to a fleet is over before so many other entries have changed.
const rememberedMax = 16_384;
// A state that many nodes have in common is one object; the others are sent once and gone.
const statesMax = 64;
// All are functions of objects that never change, so whoever shares them shares no state.
const messages = new Remembered<
  RegistrationEntry,
  { readonly defaultTtlMs: number; readonly message: Entry }
>(rememberedMax);
const encodings = new Remembered<Entry, Uint8Array>(rememberedMax);
const states = new Remembered<SyncResponse, Buffer>(statesMax);
