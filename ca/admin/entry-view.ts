/** Registration entries as the admin API shows and takes them. */

import type { CreateEntry, EntryView, ImportChangeView, ImportFaultView } from '../../api/index.ts';
import type { EntryChange, ImportFault } from '../registry/entry-import.ts';
import type { EntryDraft, EntrySpec, RegistrationEntry } from '../registry/registration-entry.ts';

export function entryView(entry: RegistrationEntry): EntryView {
  const { x509SvidTtlMs, jwtSvidTtlMs, expiresAtMs } = entry;
  return {
    id: entry.id,
    spiffeId: entry.spiffeId,
    parentId: entry.parentId,
    selectors: [...entry.selectors],
    ...(x509SvidTtlMs === undefined ? {} : { x509SvidTtlSeconds: x509SvidTtlMs / 1000 }),
    ...(jwtSvidTtlMs === undefined ? {} : { jwtSvidTtlSeconds: jwtSvidTtlMs / 1000 }),
    dnsNames: [...entry.dnsNames],
    hint: entry.hint,
    federatesWith: [...entry.federatesWith],
    admin: entry.admin,
    priority: entry.priority,
    ...(expiresAtMs === undefined ? {} : { expiresAt: new Date(expiresAtMs).toISOString() }),
    createdAt: new Date(entry.createdAtMs).toISOString(),
    revision: entry.revision,
  };
}

export function entryDraft(entry: CreateEntry): EntryDraft {
  const { x509SvidTtlSeconds, jwtSvidTtlSeconds, expiresAt, ...rest } = entry;
  return {
    ...rest,
    x509SvidTtlMs: x509SvidTtlSeconds === undefined ? undefined : x509SvidTtlSeconds * 1000,
    jwtSvidTtlMs: jwtSvidTtlSeconds === undefined ? undefined : jwtSvidTtlSeconds * 1000,
    expiresAtMs: expiresAt === undefined ? undefined : Date.parse(expiresAt),
  };
}

export function changeView(change: EntryChange): ImportChangeView {
  if (change.kind === 'add') return { kind: 'add', ...named(change.spec), fields: [] };
  const { old } = change;
  const fields = change.kind === 'change' ? change.fields.map(apiName) : [];
  return { kind: change.kind, id: old.id, ...named(old), fields };
}

export function faultView({ index, field, code, detail }: ImportFault): ImportFaultView {
  return { index, field: apiName(field), code, detail };
}

function named({ spiffeId, parentId, selectors }: EntrySpec) {
  return { spiffeId, parentId, selectors: [...selectors] };
}

/** The registry counts in milliseconds; whoever writes a file does not. */
function apiName(field: string): string {
  if (field === 'x509SvidTtlMs') return 'x509SvidTtlSeconds';
  if (field === 'jwtSvidTtlMs') return 'jwtSvidTtlSeconds';
  return field === 'expiresAtMs' ? 'expiresAt' : field;
}
