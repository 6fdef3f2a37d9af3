/** `signet entry`: which workloads get which identity. */

import { Command } from 'commander';
import { stringify } from 'yaml';
import type {
  AdminClient,
  CreateEntry,
  EntryPage,
  EntryView,
  ImportProgress,
} from '../../api/index.ts';
import { readText } from '../../core/index.ts';
import { EntryFileError, parseEntryFile } from '../entries/entry-file.ts';
import { formatImport } from '../entries/format-import.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

interface EntryOptions {
  readonly id?: string;
  readonly parent?: string;
  readonly selector?: readonly string[];
  readonly ttl?: string;
  readonly jwtTtl?: string;
  readonly dns?: readonly string[];
  readonly hint?: string;
  readonly federatesWith?: readonly string[];
  readonly admin?: boolean;
  readonly priority?: string;
  readonly expires?: string;
}

export function entryCommand(context: ProgramContext): Command {
  const root = new Command('entry').description(
    'registration entries: which workload gets which identity',
  );

  const create = administering(root.command('create'))
    .description('register a workload')
    .requiredOption('--id <spiffe-id>', 'the identity it gets')
    .requiredOption('--parent <spiffe-id>', 'the node, or alias of nodes, it runs on')
    .requiredOption('--selector <type:value...>', 'what it must be; all must hold')
    .action(async (options: EntryOptions, command: Command) => {
      const { id: spiffeId = '', parent: parentId = '', selector = [] } = options;
      const entry = { spiffeId, parentId, selectors: [...selector], ...chosen(options) };
      outputOf(command, context).show(await adminOf(command).createEntry(entry), fieldsOf);
    });
  withEntryOptions(create);
  withExamples(create, [
    [
      'signet entry create --id spiffe://mesh.test/web --parent spiffe://mesh.test/node/a --selector unix:uid:1000',
      'a workload known by its user',
    ],
  ]);

  const update = administering(root.command('update <id>'))
    .description('change an entry; refused if somebody else changed it meanwhile')
    .option('--id <spiffe-id>', 'the identity it gives')
    .option('--parent <spiffe-id>', 'the node, or alias of nodes')
    .option('--selector <type:value...>', 'all selectors, in place of those it has')
    .option('--revision <number>', 'only if it is at this revision; default: as it is read now')
    .action(async (id: string, options: EntryOptions & { revision?: string }, command: Command) => {
      const client = adminOf(command);
      const old = await client.getEntry(id);
      const { id: spiffeId, parent: parentId, selector, revision } = options;
      const updated = await client.updateEntry(id, {
        ...draftOf(old),
        ...(spiffeId === undefined ? {} : { spiffeId }),
        ...(parentId === undefined ? {} : { parentId }),
        ...(selector === undefined ? {} : { selectors: [...selector] }),
        ...chosen(options),
        expectedRevision: revision === undefined ? old.revision : Number(revision),
      });
      outputOf(command, context).show(updated, fieldsOf);
    });
  withEntryOptions(update);
  withExamples(update, [
    ['signet entry update 0193… --priority 10', 'make it the default identity'],
    ['signet entry update 0193… --expires 2027-01-01T00:00:00Z', 'let it end by itself'],
  ]);

  withExamples(
    administering(root.command('list'))
      .description('list all entries')
      .option('--parent <spiffe-id>', 'only those of this node or alias')
      .option('--id <spiffe-id>', 'only those that give this identity')
      .action(async (options: { parent?: string; id?: string }, command: Command) => {
        const entries = await allEntries(adminOf(command), {
          ...(options.parent === undefined ? {} : { parentId: options.parent }),
          ...(options.id === undefined ? {} : { spiffeId: options.id }),
        });
        outputOf(command, context).show({ entries }, (value) => tableOf(value.entries));
      }),
    [['signet entry list -o json', 'as one JSON object']],
  );

  withExamples(
    administering(root.command('import <file>'))
      .description('make the registry say what a file says; all of it or nothing')
      .option('--dry-run', 'only print what would be added (+), changed (~) and removed (-)')
      .option('--prune', 'also remove entries that are not in the file')
      .action(
        async (file: string, options: { dryRun?: boolean; prune?: boolean }, command: Command) => {
          const inFile = parseEntryFile(await readText(file), file);
          const result = await adminOf(command).importEntries(
            {
              entries: inFile.map(({ entry }) => entry),
              prune: options.prune ?? false,
              dryRun: options.dryRun ?? false,
            },
            progressTo(context),
          );
          if (result.outcome === 'refused') {
            throw new EntryFileError(
              file,
              result.faults.map(({ index, field, detail }) => ({
                line: inFile[index]?.line ?? 0,
                detail: field === '' ? detail : `${field}: ${detail}`,
              })),
            );
          }
          outputOf(command, context).show(result, formatImport);
        },
      ),
    [
      ['signet entry import entries.yaml --dry-run --prune', 'what would change'],
      ['signet entry import entries.jsonl', 'one JSON object a line'],
    ],
  );

  withExamples(
    administering(root.command('export'))
      .description('print all entries as a file that import takes')
      .option('--lines', 'as JSON lines instead of YAML')
      .action(async (options: { lines?: boolean }, command: Command) => {
        const entries = (await allEntries(adminOf(command), {})).map(draftOf);
        const isLines = options.lines === true;
        context.write(
          isLines
            ? entries.map((each) => `${JSON.stringify(each)}\n`).join('')
            : stringify({ entries }, { lineWidth: 0 }),
        );
      }),
    [['signet entry export > entries.yaml', 'keep the registry in a repository']],
  );

  withExamples(
    administering(root.command('show <id>'))
      .description('show one entry')
      .action(async (id: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).getEntry(id), fieldsOf);
      }),
    [['signet entry show 01a2051b-3436-7122-bd66-cb6c4688072b', 'by the id that list shows']],
  );

  withExamples(
    administering(root.command('delete <id>'))
      .description('delete an entry; its workloads lose the identity at once')
      .action(async (id: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(
          await adminOf(command).deleteEntry(id),
          (value) => `deleted ${value.id}\n`,
        );
      }),
    [['signet entry delete 01a2051b-3436-7122-bd66-cb6c4688072b', 'the workload has moved away']],
  );

  return root;
}

/** Now and then a line on standard error, away from what the command answers. */
function progressTo({ clock }: ProgramContext): (progress: ImportProgress) => void {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return ({ done, of }) => {
    const nowMs = clock.monotonicMs();
    if (of < progressLeast || (nowMs - toldAtMs < progressMs && done < of)) return;
    toldAtMs = nowMs;
    process.stderr.write(`${done} of ${of} changes written\n`);
  };
}

/** What create and update have in common. */
function withEntryOptions(command: Command): void {
  command
    .option('--ttl <seconds>', 'life of its certificates')
    .option('--jwt-ttl <seconds>', 'longest and usual life of its tokens')
    .option('--dns <name...>', 'DNS names in its certificates')
    .option('--hint <text>', 'tells several identities of one workload apart')
    .option('--federates-with <trust-domain...>', 'trust domains whose bundles it is given')
    .option('--admin', 'its workloads administer the CA, over mutual TLS; only an admin may say so')
    .option('--no-admin', 'it is not')
    .option('--priority <number>', 'the highest is the default identity')
    .option('--expires <time>', 'when it ends, as 2027-01-01T00:00:00Z');
}

function chosen(options: EntryOptions): Partial<CreateEntry> {
  return {
    ...(options.ttl === undefined ? {} : { x509SvidTtlSeconds: Number(options.ttl) }),
    ...(options.jwtTtl === undefined ? {} : { jwtSvidTtlSeconds: Number(options.jwtTtl) }),
    ...(options.dns === undefined ? {} : { dnsNames: [...options.dns] }),
    ...(options.hint === undefined ? {} : { hint: options.hint }),
    ...(options.federatesWith === undefined ? {} : { federatesWith: [...options.federatesWith] }),
    ...(options.admin === undefined ? {} : { admin: options.admin }),
    ...(options.priority === undefined ? {} : { priority: Number(options.priority) }),
    ...(options.expires === undefined ? {} : { expiresAt: options.expires }),
  };
}

async function allEntries(client: AdminClient, filter: EntryPage): Promise<EntryView[]> {
  const entries: EntryView[] = [];
  let after: string | undefined;
  do {
    const page = await client.listEntries({
      ...filter,
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    entries.push(...page.entries);
    after = page.next;
  } while (after !== undefined);
  return entries;
}

/** The entry as a file says it: without what the CA adds, and without what is the default. */
function draftOf(entry: EntryView): CreateEntry {
  const { spiffeId, parentId, selectors, dnsNames, hint, federatesWith, admin, priority } = entry;
  return {
    spiffeId,
    parentId,
    selectors,
    ...(entry.x509SvidTtlSeconds === undefined
      ? {}
      : { x509SvidTtlSeconds: entry.x509SvidTtlSeconds }),
    ...(entry.jwtSvidTtlSeconds === undefined
      ? {}
      : { jwtSvidTtlSeconds: entry.jwtSvidTtlSeconds }),
    ...(dnsNames.length === 0 ? {} : { dnsNames }),
    ...(hint === '' ? {} : { hint }),
    ...(federatesWith.length === 0 ? {} : { federatesWith }),
    ...(admin ? { admin } : {}),
    ...(priority === 0 ? {} : { priority }),
    ...(entry.expiresAt === undefined ? {} : { expiresAt: entry.expiresAt }),
  };
}

function tableOf(entries: readonly EntryView[]): string {
  return formatTable(
    ['ID', 'SPIFFE ID', 'PARENT', 'SELECTORS', 'TTL'],
    entries.map((entry) => [
      entry.id,
      entry.spiffeId,
      entry.parentId,
      entry.selectors.join(' '),
      ttlOf(entry),
    ]),
    'no entries',
  );
}

function fieldsOf(entry: EntryView): string {
  return formatFields([
    ['ID', entry.id],
    ['SPIFFE ID', entry.spiffeId],
    ['Parent', entry.parentId],
    ['Selectors', entry.selectors.join(' ')],
    ['TTL', ttlOf(entry)],
    ['JWT TTL', entry.jwtSvidTtlSeconds === undefined ? 'default' : `${entry.jwtSvidTtlSeconds}s`],
    ['DNS names', entry.dnsNames.join(' ') || '-'],
    ['Hint', entry.hint || '-'],
    ['Federates with', entry.federatesWith.join(' ') || '-'],
    ['Admin', entry.admin ? 'yes' : 'no'],
    ['Priority', String(entry.priority)],
    ['Expires', entry.expiresAt ?? 'never'],
    ['Created', entry.createdAt],
    ['Revision', String(entry.revision)],
  ]);
}

function ttlOf(entry: EntryView): string {
  return entry.x509SvidTtlSeconds === undefined ? 'default' : `${entry.x509SvidTtlSeconds}s`;
}

// What is over in a moment needs no progress.
const progressLeast = 400;
const progressMs = 1000;
