/** Registration entries on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  AdminError,
  createEntrySchema,
  entryListSchema,
  entrySchema,
  noBody,
  noParams,
  noQuery,
  pageQuerySchema,
  updateEntrySchema,
} from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import { isSpiffeId } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import { type Lifetimes, svidMsMax } from '../authority/lifetimes.ts';
import { auditedEntry } from '../registry/audited-entry.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import type { AdminDeps } from './admin-context.ts';
import { importRoute } from './entry-import-route.ts';
import { entryDraft, entryView } from './entry-view.ts';
import { operationRoute } from './route.ts';

export function entryRoutes(deps: AdminDeps): RouteOptions[] {
  const { registry, audit } = deps;
  const record = async (
    type: 'entry.created' | 'entry.updated' | 'entry.deleted',
    actor: Actor,
    entry: RegistrationEntry,
  ): Promise<void> => {
    await audit.append({ actor, type, entry: auditedEntry(entry) });
  };
  const spiffeIdOf = async (id: string): Promise<readonly string[]> => {
    const entry = await registry.getEntry(id);
    return entry === undefined ? [] : [entry.spiffeId];
  };

  return [
    operationRoute(
      { ...createOperation, scope: ({ body }) => [body.spiffeId] },
      async ({ body }, { actor }) => {
        const draft = entryDraft(body);
        checkTtl(draft.x509SvidTtlMs, deps.lifetimes);
        const entry = await registry.createEntry(draft);
        try {
          await record('entry.created', actor, entry);
        } catch (error) {
          // An entry that could not be recorded must not stand.
          await registry.deleteEntry(entry.id);
          throw error;
        }
        return entryView(entry);
      },
    ),
    operationRoute(listOperation, async ({ query: { after, limit, ...filter } }, { sees }) => {
      const page = await registry.listEntries({
        limit,
        ...(after === undefined ? {} : { after }),
        ...filter,
      });
      const entries = page.items.filter(({ spiffeId }) => sees(spiffeId)).map(entryView);
      return page.next === undefined ? { entries } : { entries, next: page.next };
    }),
    importRoute(deps),
    operationRoute(
      { ...getOperation, scope: ({ params }) => spiffeIdOf(params.id) },
      async ({ params: { id } }) => entryView(await found(deps, id)),
    ),
    operationRoute(
      {
        ...updateOperation,
        scope: async ({ params, body }) => [body.spiffeId, ...(await spiffeIdOf(params.id))],
      },
      async ({ params: { id }, body: { expectedRevision, ...body } }, { actor }) => {
        const draft = entryDraft(body);
        checkTtl(draft.x509SvidTtlMs, deps.lifetimes);
        const old = await found(deps, id);
        const entry = await registry.updateEntry(id, draft, expectedRevision ?? old.revision);
        // Nothing differs: the entry, its revision and every certificate stay.
        if (entry.revision === old.revision) return entryView(entry);
        try {
          await record('entry.updated', actor, entry);
        } catch (error) {
          // A change that could not be recorded must not stand either.
          await registry.updateEntry(id, old, entry.revision);
          throw error;
        }
        return entryView(entry);
      },
    ),
    operationRoute(
      { ...deleteOperation, scope: ({ params }) => spiffeIdOf(params.id) },
      async ({ params: { id } }, { actor }) => {
        const entry = await registry.deleteEntry(id);
        await record('entry.deleted', actor, entry);
        return entryView(entry);
      },
    ),
  ];
}

async function found({ registry }: AdminDeps, id: string): Promise<RegistrationEntry> {
  const entry = await registry.getEntry(id);
  if (entry !== undefined) return entry;
  throw new AdminError('not_found', 'entry_not_found', `no entry has the id ${id}`);
}

/** A lifetime that would be cut each time an authority is half-way is refused, not cut silently. */
export function checkTtl(ttlMs: number | undefined, lifetimes: Lifetimes): void {
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

const idSchema = z.strictObject({ id: z.string().min(1).max(128) });
const spiffeIdField = z.string().refine(isSpiffeId, { message: 'is not a SPIFFE ID' });
const base = { resource: 'entries', params: noParams, query: noQuery, body: noBody } as const;

const createOperation = {
  ...base,
  id: 'createEntry',
  method: 'POST',
  path: '/v1/entries',
  summary: 'Register a workload',
  verb: 'create',
  body: createEntrySchema,
  answer: entrySchema,
} as const;

const listOperation = {
  ...base,
  id: 'listEntries',
  method: 'GET',
  path: '/v1/entries',
  summary: 'Entries, oldest first',
  verb: 'read',
  query: pageQuerySchema.extend({
    parentId: spiffeIdField.exactOptional(),
    spiffeId: spiffeIdField.exactOptional(),
  }),
  answer: entryListSchema,
  scope: 'filtered',
} as const;

const one = { ...base, path: '/v1/entries/:id', params: idSchema, answer: entrySchema } as const;

const getOperation = {
  ...one,
  id: 'getEntry',
  method: 'GET',
  summary: 'One entry',
  verb: 'read',
} as const;

const updateOperation = {
  ...one,
  id: 'updateEntry',
  method: 'PUT',
  summary: 'Replace an entry; with expectedRevision only if nobody else has changed it',
  verb: 'update',
  body: updateEntrySchema,
} as const;

const deleteOperation = {
  ...one,
  id: 'deleteEntry',
  method: 'DELETE',
  summary: 'Delete an entry; its workloads lose the identity at once',
  verb: 'delete',
} as const;
