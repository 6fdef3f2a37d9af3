/** `signet policy`: check and test a policy's document, and ask the CA for verdicts. */

import { Command } from 'commander';
import type { PolicyView, VerdictView } from '../../api/index.ts';
import { CodedError, readText } from '../../core/index.ts';
import {
  parsePolicyDocument,
  type PolicyTestResult,
  runPolicyTests,
} from '../../policies/index.ts';
import { adminOf, administering, answering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

class PolicyTestError extends CodedError<'policy_tests'> {
  override readonly name = 'PolicyTestError';
  override readonly kind = 'failed_precondition';
}

interface ExplainOptions {
  readonly entry: string;
  readonly node?: string;
  readonly kind?: 'x509' | 'jwt';
  readonly ttl?: string;
  readonly key?: string;
  readonly audience?: readonly string[];
  readonly at?: string;
}

export function policyCommand(context: ProgramContext): Command {
  const policy = new Command('policy').description('rules about what the CA issues');

  withExamples(
    answering(policy.command('check <file>'))
      .description('parse and type-check a document; every fault with its line and column')
      .action(async (file: string, _options: unknown, command: Command) => {
        const { policy: parsed, tests } = parsePolicyDocument(await readText(file), file);
        const checked = { file, rules: parsed.rules.length, tests: tests.length };
        outputOf(command, context).show(
          { ...checked, default: parsed.default },
          (value) =>
            `${value.file}: ${value.rules} rules, ${value.tests} tests, default ${value.default}\n`,
        );
      }),
    [['signet policy check policy.yaml', 'before the CA is given it']],
  );

  withExamples(
    answering(policy.command('test <file>'))
      .description("run a document's own tests; ends with 2 if one fails")
      .action(async (file: string, _options: unknown, command: Command) => {
        const results = runPolicyTests(parsePolicyDocument(await readText(file), file));
        outputOf(command, context).show({ tests: results }, (value) => tableOf(value.tests));
        const failed = results.filter(({ passed }) => !passed).length;
        if (failed === 0) return;
        throw new PolicyTestError(
          'policy_tests',
          `${file}: ${failed} of ${results.length} tests failed`,
        );
      }),
    [['signet policy test policies/examples/freeze-window.yaml', 'a table of verdicts']],
  );

  withExamples(
    administering(policy.command('show'))
      .description('the policy that is in force')
      .action(async (_options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).policy(), textOf);
      }),
    [['signet policy show', 'which rules judge now']],
  );

  withExamples(
    administering(policy.command('reload'))
      .description("read the CA's policy file again; with a fault in it the old one stays")
      .action(async (_options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).reloadPolicy(), textOf);
      }),
    [['signet policy reload', 'after the file was changed']],
  );

  withExamples(
    administering(policy.command('explain'))
      .description('the verdict on a request that might be made; nothing is issued')
      .requiredOption('--entry <id>', 'the registration entry')
      .option('--node <spiffe-id>', 'the node that would ask')
      .option('--kind <kind>', 'x509 or jwt')
      .option('--ttl <seconds>', "instead of the entry's")
      .option('--key <type>', 'such as ec-p256, rsa-2048')
      .option('--audience <name...>', 'of a token')
      .option('--at <time>', 'instead of now, such as 2026-12-24T18:00:00Z')
      .action(async (options: ExplainOptions, command: Command) => {
        const { entry, node, ttl, key, audience, kind, at } = options;
        const verdict = await adminOf(command).explainPolicy({
          entryId: entry,
          ...(node === undefined ? {} : { nodeId: node }),
          ...(kind === undefined ? {} : { kind }),
          ...(ttl === undefined ? {} : { ttlSeconds: Number(ttl) }),
          ...(key === undefined ? {} : { keyType: key }),
          ...(audience === undefined ? {} : { audience: [...audience] }),
          ...(at === undefined ? {} : { at }),
        });
        outputOf(command, context).show(verdict, verdictText);
      }),
    [
      ['signet policy explain --entry 3f9a… --ttl 86400', 'would a day be allowed'],
      ['signet policy explain --entry 3f9a… --kind jwt --audience orders', 'and a token'],
    ],
  );
  return policy;
}

function tableOf(results: readonly PolicyTestResult[]): string {
  return formatTable(
    ['', 'TEST', 'EXPECTED', 'VERDICT', 'RULE', 'REASON'],
    results.map(({ name, passed, expected, verdict }) => [
      passed ? 'ok' : 'FAILED',
      name,
      expected.rule === undefined ? expected.kind : `${expected.kind} by ${expected.rule}`,
      verdict.kind,
      verdict.rule,
      verdict.reason,
    ]),
    'no tests',
  );
}

function textOf(policy: PolicyView): string {
  if (!policy.configured) return 'no policy: everything that the registry grants is issued\n';
  const fields = formatFields([
    ['File', policy.file ?? '-'],
    ['SHA-256', policy.sha256 ?? '-'],
    ['Loaded', policy.loadedAt ?? '-'],
    ['Default', policy.default],
  ]);
  const rows = policy.rules.map(({ name, effect, reason }) => [name, effect, reason]);
  return `${fields}\n${formatTable(['RULE', 'EFFECT', 'REASON'], rows, 'no rules')}`;
}

function verdictText({ verdict, rule, reason }: VerdictView): string {
  return formatFields([
    ['Verdict', verdict],
    ['Rule', rule],
    ['Reason', reason],
  ]);
}
