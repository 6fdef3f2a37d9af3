/** `signet svid export` and `signet svid sink`: an SVID as files, for applications that read nothing else. */

import { Command, Option } from 'commander';
import { endpointSocketPath } from '../endpoint-socket.ts';
import { answering, defaultAgentSocket, outputOf, withExamples } from '../options.ts';
import { formatFields } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import { configText, runUntilStopped } from '../run-program.ts';

interface ExportOptions {
  readonly socket: string;
  readonly format: 'pem' | 'pkcs12';
  readonly out: string;
  readonly passwordFile?: string;
  readonly spiffeId?: string;
}

/** `explain` makes a better error of one that says that no agent is there. */
export function addExportCommands(
  svid: Command,
  context: ProgramContext,
  explain: (error: unknown, socket: string) => unknown,
): void {
  const exporting = answering(svid.command('export'))
    .description('write the SVID of this process and ITS PRIVATE KEY to files')
    .addOption(
      new Option('--socket <path>', "the agent's socket, a path or unix:///path")
        .env('SPIFFE_ENDPOINT_SOCKET')
        .default(`unix://${defaultAgentSocket}`),
    )
    .addOption(
      new Option('--format <format>', 'what to write').choices(['pem', 'pkcs12']).default('pem'),
    )
    .requiredOption('--out <path>', 'a directory for pem, a file for pkcs12')
    .option('--password-file <path>', 'the password of the keystore, for pkcs12')
    .option('--spiffe-id <id>', 'which of several identities; else the default one')
    .action(async (options: ExportOptions, command: Command) => {
      const { exportSvid, readPasswordFile, SinkError } = await import('../../agent/index.ts');
      const { format, passwordFile, spiffeId, out } = options;
      if ((format === 'pkcs12') !== (passwordFile !== undefined)) {
        throw new SinkError(
          'sink_password',
          'invalid_argument',
          '--password-file belongs to --format pkcs12, which needs it',
        );
      }
      try {
        const written = await exportSvid({
          socket: endpointSocketPath(options.socket),
          spiffeId,
          format:
            passwordFile === undefined
              ? { kind: 'pem' }
              : { kind: 'pkcs12', password: await readPasswordFile(passwordFile) },
          out,
          random: context.random,
          signal: context.stopped,
        });
        context
          .logger('svid', 'warn')
          .warn(
            'A PRIVATE KEY IS ON THE DISK: whoever reads it is that workload until it expires',
            {
              path: out,
              spiffeId: written.id,
            },
          );
        const expires = new Date(written.chain[0]?.notAfterMs ?? 0).toISOString();
        outputOf(command, context).show({ spiffeId: written.id, path: out, expires }, (view) =>
          formatFields([
            ['SPIFFE ID', view.spiffeId],
            ['WRITTEN TO', view.path],
            ['EXPIRES', view.expires],
          ]),
        );
      } catch (error) {
        throw explain(error, options.socket);
      }
    });
  withExamples(exporting, [
    ['signet svid export --out /run/app/tls', 'PEM: svid.pem, svid_key.pem, svid_bundle.pem'],
    ['signet svid export --format pkcs12 --out app.p12 --password-file pw', 'a keystore for Java'],
  ]);
  const sink = svid
    .command('sink')
    .description('keep files fresh with SVIDs and THEIR PRIVATE KEYS, and tell applications')
    .addOption(
      new Option('-c, --config <file>', 'YAML config file')
        .env('SIGNET_CONFIG')
        .makeOptionMandatory(),
    )
    .action(async ({ config: path }: { config: string }) => {
      const { parseSinkConfig, startSvidSink } = await import('../../agent/index.ts');
      const { text, name } = await configText(path, []);
      const config = parseSinkConfig(text, name);
      const log = context.logger('sink', config.logLevel);
      await runUntilStopped(await startSvidSink(config, { ...context, log }), context);
    });
  withExamples(sink, [
    ['signet svid sink --config /etc/signet/sink.yaml', 'for as long as it runs'],
  ]);
}
