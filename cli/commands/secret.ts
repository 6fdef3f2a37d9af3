/** `signet secret`: named secrets for workloads. A value comes from a file or from standard input, never from the command line. */

import { open } from 'node:fs/promises';
import { Command } from 'commander';
import type { SecretView } from '../../api/index.ts';
import { CodedError, systemErrorCode, toBase64 } from '../../core/index.ts';
import { adminOf, administering, outputOf, withExamples } from '../options.ts';
import { formatFields, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';

class SecretUsageError extends CodedError<'secret_usage'> {
  override readonly name = 'SecretUsageError';
  override readonly kind = 'invalid_argument';
}

interface PutOptions {
  readonly value: readonly string[];
  readonly allow: readonly string[];
}

export function secretCommand(context: ProgramContext): Command {
  const secret = new Command('secret').description(
    'named secrets: sealed in the CA, given to the workloads that a rule names',
  );

  withExamples(
    administering(secret.command('put'))
      .description('a new version of a secret, pushed to whoever may have it')
      .argument('<name>')
      .argument('[file]', 'where the value is, byte by byte; - for standard input')
      .option('--value <name=file>', 'one of several values; repeatable', collect, [])
      .option(
        '--allow <spiffe-id>',
        'who may have it: an ID, or spiffe://<trust domain>/*; repeatable, and replaces the rule that stands',
        collect,
        [],
      )
      .action(
        async (name: string, file: string | undefined, options: PutOptions, command: Command) => {
          const values = await readValues(file, options.value);
          const { allow } = options;
          if (values === undefined && allow.length === 0) {
            throw new SecretUsageError('secret_usage', 'neither a value nor a rule is given', {
              remedy: 'name a file, - for standard input, --value name=file, or --allow',
            });
          }
          const stored = await adminOf(command).putSecret(name, {
            ...(allow.length === 0 ? {} : { allow: [...allow] }),
            ...(values === undefined ? {} : { values }),
          });
          outputOf(command, context).show(stored, fieldsOf);
        },
      ),
    [
      [
        'signet secret put db-password ./password --allow spiffe://mesh.test/web',
        'from a file, for one workload',
      ],
      ['pass show oauth | signet secret put oauth-hmac -', 'a new version from standard input'],
      [
        'signet secret put api --value token=./token --value url=./url --allow spiffe://mesh.test/*',
        'several values, for everybody',
      ],
    ],
  );

  withExamples(
    administering(secret.command('list'))
      .description('list all secrets, without their values')
      .action(async (_options: unknown, command: Command) => {
        const client = adminOf(command);
        const secrets: SecretView[] = [];
        for (let after: string | undefined; ; ) {
          const page = await client.listSecrets(after === undefined ? {} : { after });
          secrets.push(...page.secrets);
          if (page.next === undefined) break;
          after = page.next;
        }
        outputOf(command, context).show({ secrets }, (value) =>
          formatTable(
            ['NAME', 'VERSION', 'VALUES', 'ALLOWED'],
            value.secrets.map((each) => [
              each.name,
              String(each.version),
              String(each.versions[0]?.values.length ?? 0),
              each.allow.join(' '),
            ]),
            'no secrets',
          ),
        );
      }),
    [['signet secret list', 'what is stored, and for whom']],
  );

  withExamples(
    administering(secret.command('show'))
      .description('show one secret: its rule and its newest version, never a value')
      .argument('<name>')
      .action(async (name: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(await adminOf(command).getSecret(name), fieldsOf);
      }),
    [['signet secret show db-password', 'who may have it']],
  );

  withExamples(
    administering(secret.command('versions'))
      .description('the versions of a secret that are kept, newest first')
      .argument('<name>')
      .action(async (name: string, _options: unknown, command: Command) => {
        const { versions } = await adminOf(command).getSecret(name);
        outputOf(command, context).show({ versions }, (value) =>
          formatTable(
            ['VERSION', 'PUT', 'BY', 'VALUES'],
            value.versions.map((each) => [
              String(each.version),
              each.createdAt,
              each.by,
              valuesText(each.values),
            ]),
            'no versions',
          ),
        );
      }),
    [['signet secret versions db-password', 'when it was put, and by whom']],
  );

  withExamples(
    administering(secret.command('delete'))
      .description('delete a secret; it is withdrawn from workloads at once')
      .argument('<name>')
      .action(async (name: string, _options: unknown, command: Command) => {
        outputOf(command, context).show(
          await adminOf(command).deleteSecret(name),
          (value) => `deleted ${value.name}\n`,
        );
      }),
    [['signet secret delete db-password', 'nobody is given it any more']],
  );

  return secret;
}

/** Base64 by name; undefined if none is given. */
async function readValues(
  file: string | undefined,
  pairs: readonly string[],
): Promise<Record<string, string> | undefined> {
  if (file === undefined && pairs.length === 0) return undefined;
  if (file !== undefined && pairs.length > 0) {
    throw new SecretUsageError('secret_usage', 'both a file and --value are given', {
      remedy: 'name every value with --value name=file',
    });
  }
  const values = new Map<string, string>();
  if (file !== undefined) values.set('', await readValue(file, 'the value'));
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at);
    if (at < 1 || at === pair.length - 1 || values.has(name)) {
      // The pair itself is not repeated: somebody may have written the value in the file's place.
      throw new SecretUsageError('secret_usage', '--value is name=file, each name once');
    }
    values.set(name, await readValue(pair.slice(at + 1), `the value ${name}`));
  }
  return Object.fromEntries(values);
}

async function readValue(file: string, what: string): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    const stream = file === '-' ? process.stdin : (await open(file)).createReadStream();
    for await (const part of stream) {
      const bytes = Buffer.from(part);
      length += bytes.length;
      if (length > valueBytesMax) {
        throw new SecretUsageError('secret_usage', `${what} is longer than ${valueBytesMax} bytes`);
      }
      parts.push(bytes);
    }
  } catch (error) {
    if (error instanceof CodedError) throw error;
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    // Anything but an absolute path may be the value itself, written in the file's place.
    const place = file.startsWith('/') ? file : 'its file';
    throw new SecretUsageError('secret_usage', `${what} cannot be read from ${place}: ${code}`);
  }
  return toBase64(Buffer.concat(parts));
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function valuesText(values: SecretView['versions'][number]['values']): string {
  return values
    .map(({ name, bytes }) => (name === '' ? `${bytes} bytes` : `${name} (${bytes} bytes)`))
    .join(', ');
}

function fieldsOf(secret: SecretView): string {
  const [newest] = secret.versions;
  return formatFields([
    ['Name', secret.name],
    ['Version', String(secret.version)],
    ['Put', newest === undefined ? '-' : `${newest.createdAt} by ${newest.by}`],
    ['Values', newest === undefined ? '-' : valuesText(newest.values)],
    ['Allowed', secret.allow.join(' ')],
  ]);
}

// What the CA takes; more is not even read.
const valueBytesMax = 64 * 1024;
