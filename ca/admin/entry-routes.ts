/** Registration entries on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { AdminError, createEntrySchema, type EntryList, type EntryView } from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import type { Actor, AuditedEntry } from '../audit/event.ts';
import { type Lifetimes, svidMsMax } from '../authority/lifetimes.ts';
import type { EntryDraft, RegistrationEntry } from '../registry/registration-entry.ts';
import { actorOf, type AdminDeps, parseWith } from './admin-context.ts';
import { deleteRoute, getRoute, postRoute } from './route.ts';

export function entryRoutes(deps: AdminDeps): RouteOptions[] {
  const { registry, audit } = deps;
  const record = async (
    type: 'entry.created' | 'entry.deleted',
    actor: Actor,
    entry: RegistrationEntry,
  ): Promise<void> => {
    await audit.append({ actor, type, entry: auditedEntry(entry) });
  };

  return [
    postRoute('/v1/entries', async (request): Promise<EntryView> => {
      const { x509SvidTtlSeconds, ...rest } = parseWith(createEntrySchema, request.body);
      const ttlMs = x509SvidTtlSeconds === undefined ? undefined : x509SvidTtlSeconds * 1000;
      checkTtl(ttlMs, deps.lifetimes);
      const draft: EntryDraft = { ...rest, x509SvidTtlMs: ttlMs };
      const entry = await registry.createEntry(draft);
      try {
        await record('entry.created', actorOf(request), entry);
      } catch (error) {
        // An entry that could not be recorded must not stand.
        await registry.deleteEntry(entry.id);
        throw error;
      }
      return entryView(entry);
    }),
    getRoute('/v1/entries', async (request): Promise<EntryList> => {
      const { after, limit } = parseWith(pageSchema, request.query);
      const page = await registry.listEntries({
        limit,
        ...(after === undefined ? {} : { after }),
      });
      const entries = page.items.map(entryView);
      return page.next === undefined ? { entries } : { entries, next: page.next };
    }),
    getRoute('/v1/entries/:id', async (request): Promise<EntryView> => {
      const { id } = parseWith(idSchema, request.params);
      const entry = await registry.getEntry(id);
      if (entry !== undefined) return entryView(entry);
      throw new AdminError('not_found', 'entry_not_found', `no entry has the id ${id}`);
    }),
    deleteRoute('/v1/entries/:id', async (request): Promise<EntryView> => {
      const { id } = parseWith(idSchema, request.params);
      const entry = await registry.deleteEntry(id);
      await record('entry.deleted', actorOf(request), entry);
      return entryView(entry);
    }),
  ];
}

/** A lifetime that would be cut each time an authority is half-way is refused, not cut silently. */
function checkTtl(ttlMs: number | undefined, lifetimes: Lifetimes): void {
  const msMax = svidMsMax(lifetimes);
  if (ttlMs === undefined || ttlMs <= msMax) return;
  throw new AdminError(
    'invalid_argument',
    'entry_ttl',
    `x509SvidTtlSeconds: ${formatDurationMs(ttlMs)} does not fit under an issuing authority of ` +
      `${formatDurationMs(lifetimes.issuingMs)}, which has ${formatDurationMs(msMax)} left at half life`,
    'ask for less, or lengthen lifetimes.issuing of the CA',
  );
}

function entryView(entry: RegistrationEntry): EntryView {
  return {
    id: entry.id,
    spiffeId: entry.spiffeId,
    parentId: entry.parentId,
    selectors: [...entry.selectors],
    ...(entry.x509SvidTtlMs === undefined
      ? {}
      : { x509SvidTtlSeconds: entry.x509SvidTtlMs / 1000 }),
    dnsNames: [...entry.dnsNames],
    hint: entry.hint,
    priority: entry.priority,
    createdAt: new Date(entry.createdAtMs).toISOString(),
    revision: entry.revision,
  };
}

function auditedEntry({
  id,
  spiffeId,
  parentId,
  selectors,
  revision,
}: RegistrationEntry): AuditedEntry {
  return { id, spiffeId, parentId, selectors, revision };
}

const idSchema = z.object({ id: z.string().min(1).max(128) });
const pageSchema = z.strictObject({
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
