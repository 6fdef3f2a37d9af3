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
import { isSpiffeId } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import { auditedEntry } from '../registry/audited-entry.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { type ImportDeps, importRoute } from './entry-import-route.ts';
import { checkTtl } from './entry-ttl.ts';
import { entryDraft, entryView } from './entry-view.ts';
import { administratorsOf, giftsOfAliases } from './node-gifts.ts';
import { operationRoute } from './route.ts';

export type EntryRouteDeps = ImportDeps;

export function entryRoutes(deps: EntryRouteDeps): RouteOptions[] {
  const { registry, audit } = deps;
  const recorder =
    (type: 'entry.created' | 'entry.updated' | 'entry.deleted', actor: Actor) =>
    (entry: RegistrationEntry): Promise<unknown> =>
      audit.append({ actor, type, entry: auditedEntry(entry) });
  const spiffeIdOf = async (id: string): Promise<readonly string[]> => {
    const entry = await registry.getEntry(id);
    return entry === undefined ? [] : [entry.spiffeId];
  };

  return [
    operationRoute(
      {
        ...createOperation,
        scope: ({ body }) => [body.spiffeId],
        placements: ({ body }) => [body],
        gifts: ({ body }) => giftsOfAliases(deps, [body]),
        admins: ({ body }) => administratorsOf([body]),
      },
      async ({ body }, { actor }) => {
        const draft = entryDraft(body);
        checkTtl(deps, draft);
        return entryView(await registry.createEntry(draft, recorder('entry.created', actor)));
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
        placements: ({ body }) => [body],
        gifts: ({ body }) => giftsOfAliases(deps, [body]),
        admins: ({ body }) => administratorsOf([body]),
      },
      async ({ params: { id }, body: { expectedRevision, ...body } }, { actor }) => {
        const draft = entryDraft(body);
        checkTtl(deps, draft);
        const old = await found(deps, id);
        const entry = await registry.updateEntry(id, draft, {
          expectedRevision: expectedRevision ?? old.revision,
          record: recorder('entry.updated', actor),
        });
        return entryView(entry);
      },
    ),
    operationRoute(
      { ...deleteOperation, scope: ({ params }) => spiffeIdOf(params.id) },
      async ({ params: { id } }, { actor }) => {
        const record = recorder('entry.deleted', actor);
        return entryView(await registry.deleteEntry(id, { record }));
      },
    ),
  ];
}

async function found({ registry }: EntryRouteDeps, id: string): Promise<RegistrationEntry> {
  const entry = await registry.getEntry(id);
  if (entry !== undefined) return entry;
  throw new AdminError('not_found', 'entry_not_found', `no entry has the id ${id}`);
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
