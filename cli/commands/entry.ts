/** `signet entry`: which workloads get which identity. */

import { Command } from 'commander';
import type { EntryView } from '../../api/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

interface CreateOptions {
  readonly id: string;
  readonly parent: string;
  readonly selector: readonly string[];
  readonly ttl?: string;
  readonly dns?: readonly string[];
  readonly hint?: string;
  readonly priority?: string;
}

export function entryCommand(context: ProgramContext): Command {
  const entry = new Command('entry').description(
    'registration entries: which workload gets which identity',
  );

  const create = administering(entry.command('create'))
    .description('register a workload')
    .requiredOption('--id <spiffe-id>', 'the identity it gets')
    .requiredOption('--parent <spiffe-id>', 'the node, or alias of nodes, it runs on')
    .requiredOption('--selector <type:value...>', 'what it must be; all must hold')
    .option('--ttl <seconds>', 'life of its certificates')
    .option('--dns <name...>', 'DNS names in its certificates')
    .option('--hint <text>', 'tells several identities of one workload apart')
    .option('--priority <number>', 'the highest is the default identity')
    .action(async (options: CreateOptions, command: Command) => {
      const created = await adminOf(command).createEntry({
        spiffeId: options.id,
        parentId: options.parent,
        selectors: [...options.selector],
        ...(options.ttl === undefined ? {} : { x509SvidTtlSeconds: Number(options.ttl) }),
        ...(options.dns === undefined ? {} : { dnsNames: [...options.dns] }),
        ...(options.hint === undefined ? {} : { hint: options.hint }),
        ...(options.priority === undefined ? {} : { priority: Number(options.priority) }),
      });
      outputOf(command, context).show(created, fieldsOf);
    });
  withExamples(create, [
    [
      'signet entry create --id spiffe://mesh.test/web --parent spiffe://mesh.test/node/a --selector unix:uid:1000',
      'a workload known by its user',
    ],
  ]);

  withExamples(
    administering(entry.command('list'))
      .description('list all entries')
      .action(async (_options: unknown, command: Command) => {
        const client = adminOf(command);
        const entries: EntryView[] = [];
        let after: string | undefined;
        do {
          const page = await client.listEntries(after === undefined ? {} : { after });
          entries.push(...page.entries);
          after = page.next;
        } while (after !== undefined);
        outputOf(command, context).show({ entries }, (value) => tableOf(value.entries));
      }),
    [['signet entry list -o json', 'as one JSON object']],
  );

  administering(entry.command('show <id>'))
    .description('show one entry')
    .action(async (id: string, _options: unknown, command: Command) => {
      outputOf(command, context).show(await adminOf(command).getEntry(id), fieldsOf);
    });

  administering(entry.command('delete <id>'))
    .description('delete an entry; its workloads lose the identity at once')
    .action(async (id: string, _options: unknown, command: Command) => {
      outputOf(command, context).show(
        await adminOf(command).deleteEntry(id),
        (value) => `deleted ${value.id}\n`,
      );
    });

  return entry;
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
    ['DNS names', entry.dnsNames.join(' ') || '-'],
    ['Hint', entry.hint || '-'],
    ['Priority', String(entry.priority)],
    ['Created', entry.createdAt],
    ['Revision', String(entry.revision)],
  ]);
}

function ttlOf(entry: EntryView): string {
  return entry.x509SvidTtlSeconds === undefined ? 'default' : `${entry.x509SvidTtlSeconds}s`;
}
