/** `signet sds-server run`: SDS over mutual TLS, for sidecars on machines without an agent. */

import { Command, Option } from 'commander';
import { withExamples } from '../options.ts';
import type { ProgramContext } from '../program-context.ts';
import { configText, runUntilStopped } from '../run-program.ts';
import { version } from '../version.ts';

interface RunOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly joinToken?: string;
  readonly logLevel?: string;
}

export function sdsServerCommand(context: ProgramContext): Command {
  const run = new Command('run')
    .description('run an SDS server for sidecars on other machines, known by their certificates')
    .addOption(new Option('-c, --config <file>', 'YAML config file').env('SIGNET_CONFIG'))
    .addOption(
      new Option('--listen <host:port>', 'where sidecars connect').env('SIGNET_SDS_LISTEN'),
    )
    .addOption(
      new Option('--join-token <token>', 'a token from `signet token create`').env(
        'SIGNET_JOIN_TOKEN',
      ),
    )
    .addOption(
      new Option('--log-level <level>', 'debug, info, warn or error').env('SIGNET_LOG_LEVEL'),
    )
    .action(async (options: RunOptions) => {
      context.beginClean();
      const { parseRemoteSdsConfig, protectProcess, startRemoteSds } = await import(
        '../../agent/index.ts'
      );
      const { text, name } = await configText(options.config, [
        [['listen'], options.listen],
        [['join', 'token'], options.joinToken],
        [['logLevel'], options.logLevel],
      ]);
      const config = parseRemoteSdsConfig(text, name);
      const log = context.logger('sds-server', config.logLevel);
      // Before there is a key in this process.
      const sweepMemory = protectProcess(log);
      const server = await startRemoteSds(config, { ...context, log, version, sweepMemory });
      await runUntilStopped(server, context, server.refused);
    });
  withExamples(run, [
    ['signet sds-server run --config /etc/signet/sds-server.yaml', 'with a config file'],
  ]);
  return new Command('sds-server')
    .description('SDS over mutual TLS, for sidecars with no local agent')
    .addCommand(run);
}
