/** `signet svid revoke|unblock|revocations|crl`: certificates that must not be believed any more. */

import { Command, Option } from 'commander';
import {
  type AdminClient,
  type RevocationList,
  revokeSchema,
  type RevokedView,
} from '../../api/index.ts';
import { CodedError } from '../../core/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

class RevokeUsageError extends CodedError<'revoke_usage'> {
  override readonly name = 'RevokeUsageError';
  override readonly kind = 'invalid_argument';
}

/** Adds the verbs to `signet svid`. */
export function addRevocationCommands(svid: Command, context: ProgramContext): void {
  const revoke = administering(svid.command('revoke'))
    .description('revoke certificates; every agent and sidecar is told at once')
    .option('--serial <hex>', 'one certificate')
    .option('--id <spiffe-id>', 'every living certificate of this SPIFFE ID')
    .option('--node <spiffe-id>', 'all that was issued to a node and on it; the node is evicted')
    .option('--issuer <key-id>', 'all that one issuing authority signed')
    .addOption(new Option('--reason <reason>', 'why, as RFC 5280 names it').default('unspecified'))
    .option('--block', 'issue nothing more for the ID or the node until `svid unblock`')
    .action(async (options: RevokeOptions, command: Command) => {
      const answer = await adminOf(command).revoke(bodyOf(options));
      outputOf(command, context).show(answer, (value) => revokedText(value, context));
    });
  withExamples(revoke, [
    ['signet svid revoke --serial 01a2b3c4 --reason keyCompromise', 'a key was stolen'],
    ['signet svid revoke --id spiffe://mesh.test/web --block', 'a workload must not come back'],
    ['signet svid revoke --node spiffe://mesh.test/signet/node/x', 'a machine was broken into'],
  ]);

  withExamples(
    administering(svid.command('unblock'))
      .description('issue certificates for a blocked SPIFFE ID again')
      .argument('<spiffe-id>')
      .action(async (spiffeId: string, _options: unknown, command: Command) => {
        const answer = await adminOf(command).unblock(spiffeId);
        outputOf(command, context).show(answer, ({ wasBlocked }) =>
          wasBlocked ? `${spiffeId} is no longer blocked\n` : `${spiffeId} was not blocked\n`,
        );
      }),
    [['signet svid unblock spiffe://mesh.test/web', 'after the workload was cleaned up']],
  );

  withExamples(
    administering(svid.command('revocations'))
      .description('what is revoked and has not ended, and what is blocked')
      .action(async (_options: unknown, command: Command) => {
        const nowMs = context.clock.wallMs();
        const answer = await allRevocations(adminOf(command));
        outputOf(command, context).show(answer, ({ revocations, blocks }) => {
          const blocked = blocks.map(
            ({ spiffeId, reason }) => `blocked: ${spiffeId} (${reason})\n`,
          );
          return `${revocationTable(revocations, nowMs)}${blocked.join('')}`;
        });
      }),
    [['signet svid revocations -o json | jq .times', 'how long the last push took']],
  );

  withExamples(
    administering(svid.command('crl'))
      .description('the signed revocation list of every issuing authority, as PEM')
      .action(async (_options: unknown, command: Command) => {
        const { crls } = await adminOf(command).listRevocations({ limit: 1 });
        outputOf(command, context).show({ crls }, (value) => value.crls.join(''));
      }),
    [['signet svid crl | openssl crl -noout -text', 'read it with another program']],
  );
}

async function allRevocations(client: AdminClient): Promise<RevocationList> {
  const { next, ...first } = await client.listRevocations({ limit: 1000 });
  const revocations = [...first.revocations];
  for (let after = next; after !== undefined; ) {
    const page = await client.listRevocations({ limit: 1000, after });
    revocations.push(...page.revocations);
    after = page.next;
  }
  return { ...first, revocations };
}

interface RevokeOptions {
  readonly serial?: string;
  readonly id?: string;
  readonly node?: string;
  readonly issuer?: string;
  readonly reason: string;
  readonly block?: boolean;
}

/** Throws {@link RevokeUsageError}: what the CA would refuse, said before it is asked. */
function bodyOf({ serial, id, node, issuer, reason, block }: RevokeOptions) {
  const given = { serial, spiffeId: id, node, issuer, reason, block };
  const body = revokeSchema.safeParse(
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  );
  if (body.success) return body.data;
  const [issue] = body.error.issues;
  throw new RevokeUsageError('revoke_usage', issue?.message ?? 'the options are not understood', {
    remedy: 'give one of --serial, --id, --node and --issuer; see signet svid revoke --help',
  });
}

function revokedText({ revoked, before, block }: RevokedView, context: ProgramContext): string {
  const nowMs = context.clock.wallMs();
  const again = before.length === 0 ? '' : `${before.length} revoked before\n`;
  const blocked = block === undefined ? '' : `blocked: ${block.spiffeId}\n`;
  return `${revocationTable(revoked, nowMs)}${again}${blocked}`;
}

function revocationTable(revocations: RevokedView['revoked'], nowMs: number): string {
  return formatTable(
    ['SERIAL', 'SPIFFE ID', 'REASON', 'REVOKED', 'ENDS'],
    revocations.map(({ serial, spiffeId, reason, revokedAt, notAfter }) => [
      serial,
      spiffeId,
      reason,
      formatRelative(revokedAt, nowMs),
      formatRelative(notAfter, nowMs),
    ]),
    'nothing revoked',
  );
}
