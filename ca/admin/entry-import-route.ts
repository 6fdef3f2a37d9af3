/** Bulk import of entries: everything is judged and compared before anything is touched. */

import { Readable } from 'node:stream';
import type { RouteOptions } from 'fastify';
import type { z } from 'zod';
import {
  httpStatusOf,
  importEntriesSchema,
  type ImportLine,
  type ImportProgress,
  type ImportResult,
  importResultSchema,
  noParams,
  noQuery,
  type Problem,
} from '../../api/index.ts';
import { CodedError } from '../../core/index.ts';
import type { AuditEventType } from '../audit/event.ts';
import { auditedEntry } from '../registry/audited-entry.ts';
import { planImport } from '../registry/entry-import.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import type { Registry } from '../registry/registry.ts';
import type { AdminDeps } from './admin-context.ts';
import { type TtlDeps, ttlFaults } from './entry-ttl.ts';
import { changeView, entryDraft, faultView } from './entry-view.ts';
import { administratorsOf, giftsOfAliases } from './node-gifts.ts';
import { type AdminCall, operationRoute } from './route.ts';

export type ImportDeps = TtlDeps & Pick<AdminDeps, 'registry' | 'audit' | 'trustDomain' | 'clock'>;

/** Answers faults as a value: the file's author needs all of them, each with its place. */
export function importRoute(deps: ImportDeps): RouteOptions {
  const operation = {
    ...importOperation,
    gifts: ({ body }: { body: z.output<typeof importEntriesSchema> }) =>
      giftsOfAliases(deps, body.entries),
    admins: ({ body }: { body: z.output<typeof importEntriesSchema> }) =>
      administratorsOf(body.entries),
  };
  const route = operationRoute(operation, async ({ body }, call) => {
    const { reply } = call;
    const work = (onProgress: OnProgress): Promise<ImportResult> =>
      importEntries(deps, body, call, onProgress);
    if (reply.request.headers.accept !== jsonLines) return work(() => {});
    // Line by line, so that whoever waits for a large file sees that it goes on.
    return reply.type(jsonLines).send(Readable.from(linesOf(work)));
  });
  return { ...route, bodyLimit: importBytesMax };
}

type OnProgress = (progress: ImportProgress) => void;

async function importEntries(
  deps: ImportDeps,
  { entries, prune = false, dryRun = false }: z.output<typeof importEntriesSchema>,
  { actor, checkGift }: Pick<AdminCall, 'actor' | 'checkGift'>,
  onProgress: OnProgress,
): Promise<ImportResult> {
  const { registry, audit } = deps;
  const drafts = entries.map(entryDraft);
  // A word for each page and slice: reading and comparing very many takes its time too.
  const goesOn = (): void => onProgress({ done: 0, of: 0 });
  const plan = await planImport({
    drafts,
    present: await allEntries(registry, goesOn),
    onSlice: goesOn,
    prune,
    trustDomain: deps.trustDomain,
    nowMs: deps.clock.wallMs(),
  });
  const faults = [
    ...(plan.kind === 'refused' ? plan.faults : []),
    ...drafts.flatMap((draft, index) =>
      ttlFaults(deps, draft).map((fault) => ({ index, ...fault })),
    ),
  ].toSorted((left, right) => left.index - right.index);
  if (plan.kind === 'refused' || faults.length > 0) {
    return { outcome: 'refused', faults: faults.map(faultView), changes: [], unchanged: 0 };
  }
  const { changes, unchanged } = plan;
  // What pruning would remove is not named in the file.
  checkGift(changes.map((each) => (each.kind === 'add' ? each.spec : each.old).spiffeId));
  if (!dryRun) {
    let done = 0;
    onProgress({ done, of: changes.length });
    await registry.applyImport(changes, {
      record: (batch) =>
        Promise.all(
          batch.map(({ kind, entry }) =>
            audit.append({ actor, type: eventTypes[kind], entry: auditedEntry(entry) }),
          ),
        ),
      onBatch: (applied) => {
        done += applied.length;
        onProgress({ done, of: changes.length });
      },
    });
  }
  const outcome = dryRun ? 'planned' : 'applied';
  return { outcome, faults: [], changes: changes.map(changeView), unchanged };
}

/** The import goes on though nobody reads any more: a batch is whole, and the caller may ask again. */
async function* linesOf(
  work: (onProgress: OnProgress) => Promise<ImportResult>,
): AsyncGenerator<string> {
  const line = (value: ImportLine): string => `${JSON.stringify(value)}\n`;
  let newest: ImportProgress | undefined;
  let wake = (): void => {};
  const last: { line?: ImportLine } = {};
  const ended = work((progress) => {
    newest = progress;
    wake();
  })
    .then(
      (result) => ({ result }),
      (error: unknown) => ({ problem: problemIn(error) }),
    )
    .then((each) => {
      last.line = each;
      wake();
    });
  while (last.line === undefined) {
    const progress = newest;
    newest = undefined;
    if (progress !== undefined) {
      yield line({ progress });
      continue;
    }
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  await ended;
  if (newest !== undefined) yield line({ progress: newest });
  yield line(last.line);
}

function problemIn(error: unknown): Problem {
  if (!(error instanceof CodedError)) {
    return { code: 'internal', kind: 'internal', title: 'internal error', status: 500 };
  }
  const { kind, code, message, remedy } = error;
  const problem = { code, kind, title: message, status: httpStatusOf[kind] };
  return remedy === undefined ? problem : { ...problem, remedy };
}

async function allEntries(
  registry: Pick<Registry, 'listEntries'>,
  onPage: () => void,
): Promise<readonly RegistrationEntry[]> {
  const entries: RegistrationEntry[] = [];
  for (let after: string | undefined; ; ) {
    const page = await registry.listEntries({
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    entries.push(...page.items);
    onPage();
    if (page.next === undefined) return entries;
    after = page.next;
  }
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
  placements: ({ body }: { body: z.output<typeof importEntriesSchema> }) => body.entries,
} as const;

const jsonLines = 'application/x-ndjson';

// A hundred thousand entries of a few hundred bytes.
const importBytesMax = 64 * 1024 * 1024;
