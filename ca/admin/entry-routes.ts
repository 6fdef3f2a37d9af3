/** Registration entries on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  AdminError,
  createEntrySchema,
  type EntryView,
  entryListSchema,
  entrySchema,
  noBody,
  noParams,
  noQuery,
  pageQuerySchema,
} from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import type { Actor, AuditedEntry } from '../audit/event.ts';
import { type Lifetimes, svidMsMax } from '../authority/lifetimes.ts';
import type { EntryDraft, RegistrationEntry } from '../registry/registration-entry.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function entryRoutes(deps: AdminDeps): RouteOptions[] {
  const { registry, audit } = deps;
  const record = async (
    type: 'entry.created' | 'entry.deleted',
    actor: Actor,
    entry: RegistrationEntry,
  ): Promise<void> => {
    await audit.append({ actor, type, entry: auditedEntry(entry) });
  };

  // Whose entry it is; of one that does not stand there is nothing to protect.
  const ownerOf = async ({ params: { id } }: { params: { id: string } }): Promise<string[]> => {
    const entry = await registry.getEntry(id);
    return entry === undefined ? [] : [entry.spiffeId];
  };

  return [
    operationRoute(createOperation, async ({ body }, { actor }) => {
      const { x509SvidTtlSeconds, ...rest } = body;
      const ttlMs = x509SvidTtlSeconds === undefined ? undefined : x509SvidTtlSeconds * 1000;
      checkTtl(ttlMs, deps.lifetimes);
      const draft: EntryDraft = { ...rest, x509SvidTtlMs: ttlMs };
      const entry = await registry.createEntry(draft);
      try {
        await record('entry.created', actor, entry);
      } catch (error) {
        // An entry that could not be recorded must not stand.
        await registry.deleteEntry(entry.id);
        throw error;
      }
      return entryView(entry);
    }),
    operationRoute(listOperation, async ({ query: { after, limit } }, { sees }) => {
      const page = await registry.listEntries({
        limit,
        ...(after === undefined ? {} : { after }),
      });
      const entries = page.items.filter(({ spiffeId }) => sees(spiffeId)).map(entryView);
      return page.next === undefined ? { entries } : { entries, next: page.next };
    }),
    operationRoute({ ...getOperation, scope: ownerOf }, async ({ params: { id } }) => {
      const entry = await registry.getEntry(id);
      if (entry !== undefined) return entryView(entry);
      throw new AdminError('not_found', 'entry_not_found', `no entry has the id ${id}`);
    }),
    operationRoute(
      { ...deleteOperation, scope: ownerOf },
      async ({ params: { id } }, { actor }) => {
        const entry = await registry.deleteEntry(id);
        await record('entry.deleted', actor, entry);
        return entryView(entry);
      },
    ),
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

const idSchema = z.strictObject({ id: z.string().min(1).max(128) });

const createOperation = {
  id: 'createEntry',
  method: 'POST',
  path: '/v1/entries',
  summary: 'Register a workload: an identity, and what a process must be to get it',
  resource: 'entries',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: createEntrySchema,
  answer: entrySchema,
  scope: ({ body }: { body: z.output<typeof createEntrySchema> }) => [body.spiffeId],
} as const;

const listOperation = {
  id: 'listEntries',
  method: 'GET',
  path: '/v1/entries',
  summary: 'Registration entries, oldest first; a page may hold fewer than `limit`',
  resource: 'entries',
  verb: 'read',
  params: noParams,
  query: pageQuerySchema,
  body: noBody,
  answer: entryListSchema,
  scope: 'filtered',
} as const;

const getOperation = {
  id: 'getEntry',
  method: 'GET',
  path: '/v1/entries/:id',
  summary: 'One registration entry',
  resource: 'entries',
  verb: 'read',
  params: idSchema,
  query: noQuery,
  body: noBody,
  answer: entrySchema,
} as const;

const deleteOperation = {
  id: 'deleteEntry',
  method: 'DELETE',
  path: '/v1/entries/:id',
  summary: 'Take an identity away; answers with what was deleted',
  resource: 'entries',
  verb: 'delete',
  params: idSchema,
  query: noQuery,
  body: noBody,
  answer: entrySchema,
} as const;
