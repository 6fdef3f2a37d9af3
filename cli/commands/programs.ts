/** `signet ca run`, `signet agent run`, `signet proxy run`: the long-lived programs. */

import { Command, Option } from 'commander';
import { withExamples } from '../options.ts';
import type { ProgramContext } from '../program-context.ts';
import { version } from '../version.ts';
import { agentStatusCommand } from './agent-status.ts';
import { maintenanceCommands } from './ca-maintenance.ts';
import { configText, type Overrides, runUntilStopped } from '../run-program.ts';

interface RunOptions {
  readonly config?: string;
  readonly logLevel?: string;
  readonly [flag: string]: string | undefined;
}

export function caCommand(context: ProgramContext): Command {
  const run = runCommand('run the certificate authority', [
    ['--trust-domain <name>', 'the trust domain it is the root of', 'SIGNET_TRUST_DOMAIN'],
    ['--data <directory>', 'where it keeps its store and audit log', 'SIGNET_DATA'],
    ['--listen <host:port>', 'where agents reach it', 'SIGNET_LISTEN'],
  ]).action(async (options: RunOptions) => {
    // Loaded only here, so that the operator's short commands do not wait for it.
    const { parseCaConfig, startCa } = await import('../../ca/index.ts');
    const { text, name } = await configText(options.config, [
      [['trustDomain'], options['trustDomain']],
      [['data'], options['data']],
      [['listen'], options['listen']],
      ...common(options),
    ]);
    const config = parseCaConfig(text, name);
    const log = context.logger('ca', config.logLevel);
    await runUntilStopped(await startCa(config, { ...context, log }), context);
  });
  withExamples(run, [
    ['signet ca run --config /etc/signet/ca.yaml', 'with a config file'],
    [
      'SIGNET_KEK=$(cat kek) signet ca run --config ca.yaml --listen 127.0.0.1:7443',
      'a flag overrides the file',
    ],
  ]);
  const ca = new Command('ca').description('the certificate authority').addCommand(run);
  for (const command of maintenanceCommands(context)) ca.addCommand(command);
  return ca;
}

export function agentCommand(context: ProgramContext): Command {
  const run = runCommand('run the node agent', [
    ['--trust-domain <name>', 'the trust domain of the CA', 'SIGNET_TRUST_DOMAIN'],
    ['--ca-address <host:port>', 'where the CA is', 'SIGNET_CA_ADDRESS'],
    ['--root-sha256 <hex>', "the SHA-256 of the CA's root, to begin with", 'SIGNET_ROOT_SHA256'],
    ['--agent-socket <path>', 'where workloads and sidecars connect', 'SIGNET_AGENT_SOCKET'],
    ['--join-token <token>', 'a token from `signet token create`', 'SIGNET_JOIN_TOKEN'],
  ]).action(async (options: RunOptions) => {
    context.beginClean();
    const { parseAgentConfig, protectProcess, startAgent } = await import('../../agent/index.ts');
    const { text, name } = await configText(options.config, [
      [['trustDomain'], options['trustDomain']],
      [['ca', 'address'], options['caAddress']],
      [['ca', 'rootSha256'], options['rootSha256']],
      [['socket'], options['agentSocket']],
      [['join', 'token'], options['joinToken']],
      ...common(options),
    ]);
    const config = parseAgentConfig(text, name);
    const log = context.logger('agent', config.logLevel);
    // Before there is a key in this process.
    const sweepMemory = protectProcess(log);
    const agent = await startAgent(config, { ...context, log, version, sweepMemory });
    await runUntilStopped(agent, context, agent.refused);
  });
  withExamples(run, [
    ['signet agent run --config /etc/signet/agent.yaml', 'with a config file'],
    ['SIGNET_JOIN_TOKEN=… signet agent run --config agent.yaml', 'the token kept out of the file'],
  ]);
  return new Command('agent')
    .description('the node agent')
    .addCommand(run)
    .addCommand(agentStatusCommand(context));
}

export function proxyCommand(context: ProgramContext): Command {
  const run = runCommand('run the sidecar proxy', [
    ['--agent-socket <path>', "the agent's socket, for secrets", 'SIGNET_AGENT_SOCKET'],
    ['--admin <host:port>', 'the admin address', 'SIGNET_PROXY_ADMIN'],
  ]).action(async (options: RunOptions) => {
    const { parseProxyConfig, startProxy, startProxyWorkers } = await import(
      '../../proxy/index.ts'
    );
    const { text, name } = await configText(options.config, [
      [['sds', 'socket'], options['agentSocket']],
      [['admin'], options['admin']],
      ...common(options),
    ]);
    const config = parseProxyConfig(text, name);
    const log = context.logger('proxy', config.logLevel);
    const { restrainMemory } = await import('../../rpc/index.ts');
    // Before there is a key in this process.
    restrainMemory(log);
    if (config.workers > 1) {
      const { forkProxyWorker } = await import('../proxy-worker.ts');
      const deps = { ...context, log, spawn: () => forkProxyWorker(text, name) };
      await runUntilStopped(await startProxyWorkers(config, deps), context);
      return;
    }
    const deps = { ...context, log, stdout: process.stdout };
    await runUntilStopped(await startProxy(config, deps), context);
  });
  withExamples(run, [['signet proxy run --config /etc/signet/proxy.yaml', 'with a config file']]);
  // For the processes that `workers` of the config asks for, and for nobody else.
  const worker = new Command('worker').action(async () => {
    const { runProxyWorker } = await import('../proxy-worker.ts');
    await runProxyWorker(context);
  });
  return new Command('proxy')
    .description('the mTLS sidecar')
    .addCommand(run)
    .addCommand(worker, { hidden: true });
}

function runCommand(
  description: string,
  flags: readonly (readonly [flag: string, description: string, variable: string])[],
): Command {
  const command = new Command('run')
    .description(description)
    .addOption(new Option('-c, --config <file>', 'YAML config file').env('SIGNET_CONFIG'))
    .addOption(
      new Option('--log-level <level>', 'debug, info, warn or error').env('SIGNET_LOG_LEVEL'),
    );
  for (const [flag, text, variable] of flags)
    command.addOption(new Option(flag, text).env(variable));
  return command;
}

function common(options: RunOptions): Overrides {
  return [[['logLevel'], options.logLevel]];
}
