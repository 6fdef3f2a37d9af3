/** Bulk import of entries: everything is judged and compared before anything is touched. */

import type { RouteOptions } from 'fastify';
import type { z } from 'zod';
import {
  importEntriesSchema,
  type ImportResult,
  importResultSchema,
  noParams,
  noQuery,
} from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import type { AuditEventType } from '../audit/event.ts';
import { svidMsMax } from '../authority/lifetimes.ts';
import { auditedEntry } from '../registry/audited-entry.ts';
import { type ImportFault, planImport } from '../registry/entry-import.ts';
import type { EntryDraft, RegistrationEntry } from '../registry/registration-entry.ts';
import type { Registry } from '../registry/registry.ts';
import type { AdminDeps } from './admin-context.ts';
import { changeView, entryDraft, faultView } from './entry-view.ts';
import { operationRoute } from './route.ts';

/** Answers faults as a value: the file's author needs all of them, each with its place. */
export function importRoute(deps: AdminDeps): RouteOptions {
  const { registry, audit, lifetimes } = deps;
  const route = operationRoute(
    importOperation,
    async ({ body }, { actor }): Promise<ImportResult> => {
      const { entries, prune = false, dryRun = false } = body;
      const drafts = entries.map(entryDraft);
      const plan = planImport({
        drafts,
        present: await allEntries(registry),
        prune,
        trustDomain: deps.trustDomain,
        nowMs: deps.clock.wallMs(),
      });
      const faults = [
        ...(plan.kind === 'refused' ? plan.faults : []),
        ...ttlFaults(drafts, svidMsMax(lifetimes)),
      ].toSorted((left, right) => left.index - right.index);
      if (plan.kind === 'refused' || faults.length > 0) {
        return { outcome: 'refused', faults: faults.map(faultView), changes: [], unchanged: 0 };
      }
      const { changes, unchanged } = plan;
      if (!dryRun) {
        await registry.applyImport(changes, async (applied) => {
          await Promise.all(
            applied.map(({ kind, entry }) =>
              audit.append({ actor, type: eventTypes[kind], entry: auditedEntry(entry) }),
            ),
          );
        });
      }
      const outcome = dryRun ? 'planned' : 'applied';
      return { outcome, faults: [], changes: changes.map(changeView), unchanged };
    },
  );
  return { ...route, bodyLimit: importBytesMax };
}

async function allEntries(
  registry: Pick<Registry, 'listEntries'>,
): Promise<readonly RegistrationEntry[]> {
  const entries: RegistrationEntry[] = [];
  for (let after: string | undefined; ; ) {
    const page = await registry.listEntries({
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    entries.push(...page.items);
    if (page.next === undefined) return entries;
    after = page.next;
  }
}

function ttlFaults(drafts: readonly EntryDraft[], msMax: number): readonly ImportFault[] {
  return drafts.flatMap(({ x509SvidTtlMs: ttlMs }, index) =>
    ttlMs === undefined || ttlMs <= msMax
      ? []
      : [
          {
            index,
            field: 'x509SvidTtlMs',
            code: 'entry_ttl',
            detail: `${formatDurationMs(ttlMs)} is more than an issuing authority has left at half life, ${formatDurationMs(msMax)}`,
          },
        ],
  );
}

const eventTypes = {
  add: 'entry.created',
  change: 'entry.updated',
  remove: 'entry.deleted',
} as const satisfies Record<string, AuditEventType>;

const importOperation = {
  id: 'importEntries',
  method: 'POST',
  path: '/v1/entries/import',
  summary: 'Make the registry say what a file says; with dryRun only tell the difference',
  resource: 'entries',
  verb: 'update',
  params: noParams,
  query: noQuery,
  body: importEntriesSchema,
  answer: importResultSchema,
  // Pruning is about every entry that the file does not name.
  scope: ({ body }: { body: z.output<typeof importEntriesSchema> }) => [
    ...body.entries.map(({ spiffeId }) => spiffeId),
    ...(body.prune === true ? ['every entry that is not in the file'] : []),
  ],
} as const;

// A hundred thousand entries of a few hundred bytes.
const importBytesMax = 64 * 1024 * 1024;
