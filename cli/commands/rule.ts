/** `signet rule`: identities by template, from what nodes proved. */

import { Command, InvalidArgumentError } from 'commander';
import type { AdminClient, RuleIdentityView, RuleView } from '../../api/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

interface CreateOptions {
  readonly template: string;
  readonly require: readonly string[];
  readonly node?: readonly string[];
  readonly ttl?: string;
  readonly jwtTtl?: string;
  readonly dns?: readonly string[];
  readonly federatesWith?: readonly string[];
  readonly hint?: string;
  readonly priority?: string;
  readonly trust?: readonly string[];
}

export function ruleCommand(context: ProgramContext): Command {
  const rule = new Command('rule').description(
    'identity rules: one template instead of an entry for each node',
  );

  withExamples(
    administering(rule.command('create'))
      .description('give every node that fits an identity for the workloads named')
      .requiredOption('--template <spiffe-id>', 'the identity, with {td} and {type.name} in it')
      .requiredOption('--require <type:value...>', 'what a workload must be; all must hold')
      .option('--node <type:value...>', 'what a node must have proved; all must hold')
      .option('--ttl <seconds>', 'life of its certificates')
      .option('--jwt-ttl <seconds>', 'longest and usual life of its tokens')
      .option('--dns <name...>', 'DNS names of its certificates, with {type.name} in them')
      .option('--federates-with <trust-domain...>', 'trust domains whose bundles it is given')
      .option('--hint <text>', 'tells several identities of one workload apart')
      .option('--priority <number>', 'the highest is the default identity')
      .option(
        '--trust <type=source...>',
        'who says facts of this type: node (proved; the default) or agent (its word about its own workloads)',
      )
      .action(async (options: CreateOptions, command: Command) => {
        const created = await adminOf(command).createRule({
          template: options.template,
          selectors: [...options.require],
          ...(options.node === undefined ? {} : { nodeSelectors: [...options.node] }),
          ...(options.ttl === undefined ? {} : { x509SvidTtlSeconds: Number(options.ttl) }),
          ...(options.jwtTtl === undefined ? {} : { jwtSvidTtlSeconds: Number(options.jwtTtl) }),
          ...(options.dns === undefined ? {} : { dnsNames: [...options.dns] }),
          ...(options.federatesWith === undefined
            ? {}
            : { federatesWith: [...options.federatesWith] }),
          ...(options.hint === undefined ? {} : { hint: options.hint }),
          ...(options.priority === undefined ? {} : { priority: Number(options.priority) }),
          ...(options.trust === undefined ? {} : { trust: trustOf(options.trust) }),
        });
        outputOf(command, context).show(created, fieldsOf);
      }),
    [
      [
        "signet rule create --template 'spiffe://{td}/host/{x509pop.cn}' --require unix:uid:1000",
        'every machine, by the name in its certificate',
      ],
      [
        "signet rule create --template 'spiffe://{td}/user/{unix.user}' --require unix:group:staff --trust unix=agent",
        'every workload, by its user, on the word of its node’s agent',
      ],
    ],
  );

  withExamples(
    administering(rule.command('list'))
      .description('list all rules')
      .action(async (_options: unknown, command: Command) => {
        const client = adminOf(command);
        const rules: RuleView[] = [];
        for (let after: string | undefined; ; ) {
          const page = await client.listRules(after === undefined ? {} : { after });
          rules.push(...page.rules);
          if (page.next === undefined) break;
          after = page.next;
        }
        outputOf(command, context).show({ rules }, (value) => tableOf(value.rules));
      }),
    [['signet rule list', 'which identities are derived']],
  );

  withExamples(
    administering(rule.command('show <id>'))
      .description('show one rule')
      .action(async (id: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).getRule(id), fieldsOf);
      }),
    [['signet rule show 01a2051b-3436-7122-bd66-cb6c4688072b', 'by the id that list shows']],
  );

  withExamples(
    administering(rule.command('explain <id>'))
      .description('what the rule gives on each node, or why it gives nothing')
      .action(async (id: string, _options: unknown, command: Command) => {
        const identities = await allIdentities(adminOf(command), id);
        outputOf(command, context).show({ identities }, (value) =>
          formatTable(
            ['NODE', 'SPIFFE ID'],
            value.identities.map((each) => [
              each.nodeId,
              each.spiffeId ?? each.pattern ?? `none: ${each.reason ?? ''}`,
            ]),
            'no nodes',
          ),
        );
      }),
    [['signet rule explain 01a2051b-3436-7122-bd66-cb6c4688072b', 'who gets what, node by node']],
  );

  withExamples(
    administering(rule.command('delete <id>'))
      .description('delete a rule; what it gave is lost at once')
      .action(async (id: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(
          await adminOf(command).deleteRule(id),
          (value) => `deleted ${value.id}\n`,
        );
      }),
    [['signet rule delete 01a2051b-3436-7122-bd66-cb6c4688072b', 'all it gave is lost']],
  );

  return rule;
}

function trustOf(pairs: readonly string[]): Record<string, 'node' | 'agent'> {
  const trust: Record<string, 'node' | 'agent'> = {};
  for (const pair of pairs) {
    const [type = '', source = '', ...rest] = pair.split('=');
    if (type === '' || rest.length > 0 || (source !== 'node' && source !== 'agent')) {
      throw new InvalidArgumentError(`--trust ${pair}: write type=node or type=agent`);
    }
    trust[type] = source;
  }
  return trust;
}

async function allIdentities(client: AdminClient, id: string): Promise<RuleIdentityView[]> {
  const identities: RuleIdentityView[] = [];
  for (let after: string | undefined; ; ) {
    const page = await client.ruleIdentities(id, {
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    identities.push(...page.identities);
    if (page.next === undefined) return identities;
    after = page.next;
  }
}

function tableOf(rules: readonly RuleView[]): string {
  return formatTable(
    ['ID', 'TEMPLATE', 'WORKLOADS', 'NODES'],
    rules.map((rule) => [
      rule.id,
      rule.template,
      rule.selectors.join(' '),
      rule.nodeSelectors.join(' ') || 'all',
    ]),
    'no rules',
  );
}

function trustText({ trust }: RuleView): string {
  const pairs = Object.entries(trust).map(([type, source]) => `${type}=${source}`);
  return pairs.join(' ') || 'what nodes proved';
}

function fieldsOf(rule: RuleView): string {
  return formatFields([
    ['ID', rule.id],
    ['Template', rule.template],
    ['Workloads', rule.selectors.join(' ')],
    ['Nodes', rule.nodeSelectors.join(' ') || 'all'],
    ['Trust', trustText(rule)],
    ['TTL', rule.x509SvidTtlSeconds === undefined ? 'default' : `${rule.x509SvidTtlSeconds}s`],
    ['JWT TTL', rule.jwtSvidTtlSeconds === undefined ? 'default' : `${rule.jwtSvidTtlSeconds}s`],
    ['DNS names', rule.dnsNames.join(' ') || '-'],
    ['Federates with', rule.federatesWith.join(' ') || '-'],
    ['Hint', rule.hint || '-'],
    ['Priority', String(rule.priority)],
    ['Created', rule.createdAt],
  ]);
}
