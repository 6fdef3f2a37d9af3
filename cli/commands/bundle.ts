/** `signet bundle`: our own bundle, and those of other trust domains that workloads here may federate with. */

import { Command, Option } from 'commander';
import type { AdminClient, FederatedBundleView } from '../../api/index.ts';
import { readText } from '../../core/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

interface SetOptions {
  readonly file: string;
  readonly force?: boolean;
}

export function bundleCommand(context: ProgramContext): Command {
  const bundle = new Command('bundle').description('bundles: our own and other trust domains’');
  withExamples(
    administering(bundle.command('show [trust-domain]'))
      .description('print a bundle as a SPIFFE JWKS document; our own if no other domain is named')
      .action(async (trustDomain: string | undefined, _options: unknown, command: Command) => {
        const text = await documentOf(adminOf(command), trustDomain);
        context.write(text.endsWith('\n') ? text : `${text}\n`);
      }),
    [
      [
        'signet bundle show > bundle.json',
        'for an agent that starts with the bundle instead of a root hash',
      ],
      ['signet bundle show partner.test', 'what is known of another trust domain'],
    ],
  );

  withExamples(
    administering(bundle.command('set <trust-domain>'))
      .description(
        'take in the bundle of another trust domain; entries that federate with it get it at once',
      )
      .requiredOption('--file <path>', 'a SPIFFE bundle document, or PEM certificates')
      .addOption(
        new Option('--force', 'take an older sequence, or a bundle that trusts nobody').default(
          false,
        ),
      )
      .action(async (trustDomain: string, { file, force }: SetOptions, command: Command) => {
        const document = await readText(file);
        const set = await adminOf(command).setFederatedBundle(trustDomain, document, force);
        outputOf(command, context).show(set, (value) => fieldsOf(value, context.clock.wallMs()));
      }),
    [['signet bundle set partner.test --file partner.json', 'as that domain publishes it']],
  );

  withExamples(
    administering(bundle.command('list'))
      .description('other trust domains whose bundles are known')
      .action(async (_options: unknown, command: Command) => {
        const list = await adminOf(command).listFederatedBundles();
        outputOf(command, context).show(list, ({ bundles }) =>
          tableOf(bundles, context.clock.wallMs()),
        );
      }),
    [['signet bundle list', 'whom our workloads could federate with']],
  );

  withExamples(
    administering(bundle.command('delete <trust-domain>'))
      .description('forget the bundle of another trust domain; nobody of it is trusted any more')
      .action(async (trustDomain: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(
          await adminOf(command).deleteFederatedBundle(trustDomain),
          (value) => `deleted the bundle of ${value.trustDomain}\n`,
        );
      }),
    [['signet bundle delete partner.test', 'the federation has ended']],
  );
  return bundle;
}

function documentOf(admin: AdminClient, trustDomain: string | undefined): Promise<string> {
  return trustDomain === undefined ? admin.bundle() : admin.federatedBundle(trustDomain);
}

function tableOf(bundles: readonly FederatedBundleView[], nowMs: number): string {
  return formatTable(
    ['TRUST DOMAIN', 'SEQUENCE', 'X.509', 'JWT', 'SET'],
    bundles.map(({ trustDomain, sequence, x509Authorities, jwtAuthorities, setAt }) => [
      trustDomain,
      sequence,
      String(x509Authorities),
      String(jwtAuthorities),
      formatRelative(setAt, nowMs),
    ]),
    'no bundles of other trust domains',
  );
}

function fieldsOf(value: FederatedBundleView, nowMs: number): string {
  return formatFields([
    ['Trust domain', value.trustDomain],
    ['Sequence', value.sequence],
    ['X.509 authorities', String(value.x509Authorities)],
    ['JWT authorities', String(value.jwtAuthorities)],
    ['SHA-256', value.sha256],
    ['Set', formatRelative(value.setAt, nowMs)],
  ]);
}
