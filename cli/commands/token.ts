/** `signet token`: join tokens, with which nodes come in. */

import { Command } from 'commander';
import type { AdminClient, KnownTokenView } from '../../api/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

export function tokenCommand(context: ProgramContext): Command {
  const token = new Command('token').description('join tokens, with which a node comes in');
  const create = administering(token.command('create'))
    .description('make a token; it works once, for one key')
    .option('--ttl <seconds>', 'how long it may be used', '600')
    .option('--alias <spiffe-id>', 'an ID that entries may name as parent instead of the node')
    .action(async (options: { ttl: string; alias?: string }, command: Command) => {
      const created = await adminOf(command).createToken({
        ttlSeconds: Number(options.ttl),
        ...(options.alias === undefined ? {} : { alias: options.alias }),
      });
      outputOf(command, context).show(created, (value) =>
        formatFields([
          ['Token', value.token],
          ['ID', value.id],
          ['Node SPIFFE ID', value.spiffeId],
          ['Expires', value.expiresAt],
          ['Root SHA-256', value.rootSha256],
        ]),
      );
    });
  withExamples(create, [
    [
      'signet token create --ttl 600 --alias spiffe://mesh.test/node/web',
      'for one node of a group',
    ],
    ['signet token create -o json | jq -r .token', 'only the token'],
  ]);

  withExamples(
    administering(token.command('list'))
      .description('list the tokens that were made, by their ids; a text is shown once, by create')
      .action(async (_options: unknown, command: Command) => {
        const nowMs = context.clock.wallMs();
        const tokens = await allTokens(adminOf(command));
        outputOf(command, context).show({ tokens }, (value) =>
          formatTable(
            ['ID', 'STATE', 'ENDS', 'ALIAS'],
            value.tokens.map((each) => [
              each.id,
              each.state,
              each.state === 'unused' ? formatRelative(each.expiresAt, nowMs) : '',
              each.alias ?? '',
            ]),
            'no tokens',
          ),
        );
      }),
    [['signet token list', 'who could still join, and who has']],
  );

  withExamples(
    administering(token.command('delete <id>'))
      .description('delete a token, so that nobody can join with it; a node that has joined stays')
      .action(async (id: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(
          await adminOf(command).deleteToken(id),
          (value) => `deleted ${value.id}\n`,
        );
      }),
    [['signet token delete 9f3c02b1a4d5e6f7', 'it was sent to the wrong place']],
  );
  return token;
}

async function allTokens(client: AdminClient): Promise<readonly KnownTokenView[]> {
  const tokens: KnownTokenView[] = [];
  for (let after: string | undefined; ; ) {
    const page = await client.listTokens({
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    tokens.push(...page.tokens);
    if (page.next === undefined) return tokens;
    after = page.next;
  }
}
