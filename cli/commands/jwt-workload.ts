/** `signet jwt fetch`, `validate` and `bundles`: the JWT profile of the Workload API, for this very process. */

import type { Command } from 'commander';
import type {
  JWTBundlesResponse,
  JWTSVIDResponse,
  ValidateJWTSVIDResponse,
} from '../../api/index.ts';
import { utf8Text } from '../../core/index.ts';
import { callUnary, messagesOf } from '../../rpc/index.ts';
import { outputOf, withExamples } from '../options.ts';
import { formatFields } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import { askingWorkloadApi, withWorkloadApi, workloadHeader } from '../workload-endpoint.ts';

interface FetchOptions {
  readonly socket: string;
  readonly audience: readonly string[];
  readonly spiffeId?: string;
}

interface ValidateOptions {
  readonly socket: string;
  readonly audience: string;
}

export function addJwtWorkloadCommands(jwt: Command, context: ProgramContext): void {
  const wallMs = (): number => context.clock.wallMs();
  withExamples(
    askingWorkloadApi(jwt.command('fetch'))
      .description('fetch JWT-SVIDs of this process from its agent; prints the tokens')
      .requiredOption('--audience <name...>', 'who may accept them')
      .option('--spiffe-id <id>', 'one identity of several; all without it')
      .action(async ({ socket, audience, spiffeId = '' }: FetchOptions, command: Command) => {
        const request = { audience: [...audience], spiffeId };
        const response = await withWorkloadApi(socket, (client, what) =>
          callUnary<JWTSVIDResponse>(
            what,
            callMsMax,
            (_metadata, options, done) =>
              client.fetchJwtsvid(request, workloadHeader(), options, done),
            wallMs(),
          ),
        );
        outputOf(command, context).show(response, ({ svids }) =>
          svids.map(({ svid }) => `${svid}\n`).join(''),
        );
      }),
    [
      ['signet jwt fetch --audience orders', 'a token for one service'],
      ['signet jwt fetch --audience orders -o json', 'with the SPIFFE ID and the hint of each'],
    ],
  );

  withExamples(
    askingWorkloadApi(jwt.command('validate <token>'))
      .description('have the agent validate a token, against the bundles that this process may see')
      .requiredOption('--audience <name>', 'the name that must be among its audiences')
      .action(async (svid: string, { socket, audience }: ValidateOptions, command: Command) => {
        const { spiffeId, claims } = await withWorkloadApi(socket, (client, what) =>
          callUnary<ValidateJWTSVIDResponse>(
            what,
            callMsMax,
            (_metadata, options, done) =>
              client.validateJwtsvid({ audience, svid }, workloadHeader(), options, done),
            wallMs(),
          ),
        );
        outputOf(command, context).show({ spiffeId, claims: { ...claims } }, (value) =>
          formatFields([
            ['SPIFFE ID', value.spiffeId],
            ...Object.entries(value.claims).map(
              ([name, claim]) => [name, JSON.stringify(claim)] as const,
            ),
          ]),
        );
      }),
    [['signet jwt validate --audience orders eyJ…', 'what a service asks of its agent']],
  );

  withExamples(
    askingWorkloadApi(jwt.command('bundles'))
      .description('the JWT bundles that this process may see')
      .action(async ({ socket }: { readonly socket: string }, command: Command) => {
        const bundles = await withWorkloadApi(socket, async (client, what) => {
          const stream = client.fetchJwtBundles({}, workloadHeader());
          for await (const message of messagesOf(what, stream)) return documentsOf(message);
          return {};
        });
        outputOf(command, context).show({ bundles }, (value) =>
          formatFields(Object.entries(value.bundles).map(([id, text]) => [id, text] as const)),
        );
      }),
    [['signet jwt bundles', 'whose tokens this process could accept']],
  );
}

function documentsOf({ bundles }: JWTBundlesResponse): Record<string, string> {
  return Object.fromEntries(
    Object.entries(bundles).map(([id, document]) => [id, utf8Text(document) ?? '']),
  );
}

// An agent asks its CA for at most ten seconds.
const callMsMax = 15_000;
