/** `npm run bench -- issuance|audit|proxy|crowd|registry|sync|sds|agent`: what a certificate, a record, a request, an entry and a push cost, beside programs that everybody knows. */

import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { describeError, exitCodeOf } from '../core/index.ts';
import type { BenchOptions, Print } from './report.ts';

const print: Print = (line) => void process.stdout.write(`${line}\n`);

interface GivenOptions {
  readonly seconds: number;
  readonly rounds: number;
  readonly json?: true;
  readonly only?: string;
  readonly profile?: string;
  readonly connections?: number;
  readonly entries?: number;
  readonly agents?: number;
  readonly idle?: number;
  readonly quiet?: number;
  readonly streams?: number;
  readonly workloads?: number;
}

const bench = new Command('bench').description('measures this machine, promises nothing');

// Each is loaded only when asked for, so that one measurement does not carry the other's code.
benchCommand('issuance', 'certificates: per core, beside openssl, cfssl and @peculiar/x509')
  .option('--profile <directory>', 'write a CPU profile of the CA there; its figures then suffer')
  .action(async (given: GivenOptions) => {
    const { benchIssuance } = await import('./issuance/issuance.ts');
    await benchIssuance({ ...optionsOf(given), profile: given.profile }, print);
  });
benchCommand('audit', 'records of the audit log: append, verify, prove, beside SQLite').action(
  async (given: GivenOptions) => {
    const { benchAudit } = await import('./audit/audit.ts');
    await benchAudit(optionsOf(given), print);
  },
);
// What `issuance` starts beside itself, to give it cores of its own.
bench
  .command('signing <workers>', { hidden: true })
  .option('--seconds <count>', 'how long', positiveNumber, 1)
  .exitOverride()
  .action(async (workers: string, { seconds }: Pick<GivenOptions, 'seconds'>) => {
    const { benchSigning } = await import('./issuance/signing.ts');
    await benchSigning(Number(workers), seconds, print);
  });
benchCommand(
  'proxy',
  'one hop: requests, handshakes, gRPC, a TLS relay, two processes, idle connections, beside nginx and Envoy',
)
  .option(
    '--profile <directory>',
    'write a CPU profile of our proxy there; its figures then suffer',
  )
  .option('--connections <count>', 'how many HTTP/1.1 clients ask at once', positiveInteger, 64)
  .option('--idle <count>', 'how many idle connections are added, twice', positiveInteger, 1000)
  .option('--quiet <seconds>', 'how long nothing happens before memory is read', positiveNumber, 3)
  .action(async (given: GivenOptions) => {
    const { benchProxy } = await import('./proxy/proxy.ts');
    const { profile, connections = 64, idle = 1000, quiet: quietSeconds = 3 } = given;
    const options = { ...optionsOf(given), profile, connections, idle, quietSeconds };
    await benchProxy(options, print);
  });
benchCommand('crowd', 'very many idle connections of the proxy, and those above its bound')
  .option('--idle <count>', 'how many connections', positiveInteger, 100_000)
  .option('--quiet <seconds>', 'how long nothing happens before memory is read', positiveNumber, 3)
  .action(async (given: GivenOptions) => {
    const { benchCrowd } = await import('./proxy/crowd.ts');
    const { idle = 100_000, quiet: quietSeconds = 3 } = given;
    await benchCrowd({ ...optionsOf(given), idle, quietSeconds }, print);
  });
benchCommand('registry', 'a CA with many entries: its start, its memory, the entries of one node')
  .option('--entries <count>', 'how many entries', positiveInteger, 100_000)
  .action(async (given: GivenOptions) => {
    const { benchRegistry } = await import('./registry/registry.ts');
    await benchRegistry({ ...optionsOf(given), entries: given.entries ?? 100_000 }, print);
  });
benchCommand('sync', 'a push to many agents, and what idle agents cost, beside a bare gRPC stream')
  .option('--agents <count>', 'how many agents wait for a push', positiveInteger, 1000)
  .option('--idle <count>', 'how many agents are held idle', positiveInteger, 5000)
  .option('--quiet <seconds>', 'how long nothing happens before memory is read', positiveNumber, 5)
  .option('--profile <directory>', 'write a CPU profile of the CA there; its figures then suffer')
  .action(async (given: GivenOptions) => {
    const { benchSync } = await import('./sync/sync.ts');
    const { agents = 1000, idle = 5000, quiet = 5, profile } = given;
    await benchSync({ ...optionsOf(given), agents, idle, quiet, profile }, print);
  });
benchCommand('sds', 'a new root to many SDS streams of one agent, beside a bare gRPC stream')
  .option('--streams <count>', 'how many sidecars, each with a connection', positiveInteger, 5000)
  .option(
    '--profile <directory>',
    'write a CPU profile of the agent there; its figures then suffer',
  )
  .action(async (given: GivenOptions) => {
    const { benchSds } = await import('./sds/sds.ts');
    const { streams = 5000, profile } = given;
    await benchSds({ ...optionsOf(given), streams, profile }, print);
  });
benchCommand(
  'agent',
  'the first SVID of a workload, many streams, a restart with many workloads, an idle agent, beside SPIRE',
)
  .option('--workloads <count>', 'how many a restarted agent serves', positiveInteger, 2000)
  .option('--streams <count>', 'how many workloads stay, each with a stream', positiveInteger, 1000)
  .option('--quiet <seconds>', 'how long nothing happens before memory is read', positiveNumber, 5)
  .option('--profile <directory>', 'write a CPU profile of the restart there; its figures suffer')
  .action(async (given: GivenOptions) => {
    const { benchAgent } = await import('./agent/agent.ts');
    const { workloads = 2000, streams = 1000, quiet = 5, profile } = given;
    await benchAgent({ ...optionsOf(given), workloads, streams, quiet, profile }, print);
  });
// Processes that a benchmark starts of itself.
ownProcess('sds-floor').action(async (file: string) => {
  const { serveBareSds } = await import('./sds/bare-sds.ts');
  serveBareSds(file);
});
ownProcess('sync-floor').action(async (file: string) => {
  const { serveBareStream } = await import('./sync/bare-stream.ts');
  serveBareStream(file);
});
ownProcess('registry-view').action(async (store: string) => {
  const { measureView } = await import('./registry/measure-view.ts');
  await measureView(store);
});
ownProcess('registry-floor').action(async (store: string) => {
  const { measureFloor } = await import('./registry/measure-view.ts');
  await measureFloor(store);
});

function ownProcess(name: string): Command {
  return bench.command(name, { hidden: true }).argument('<given>').exitOverride();
}

function benchCommand(name: string, description: string): Command {
  return bench
    .command(name)
    .description(description)
    .option('--seconds <count>', 'how long each candidate runs in a round', positiveNumber, 1)
    .option('--rounds <count>', 'how often all candidates take their turn', positiveInteger, 5)
    .option('--only <text>', 'leave out the candidates whose name does not hold the text')
    .option('--json', 'print one JSON object as the last line')
    .exitOverride();
}

function optionsOf({ seconds, rounds, json, only = '' }: GivenOptions): BenchOptions {
  return { seconds, rounds, json: json === true, only };
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('a number above 0 is needed');
}

function positiveInteger(text: string): number {
  const value = positiveNumber(text);
  if (Number.isInteger(value)) return value;
  throw new InvalidArgumentError('a whole number is needed');
}

try {
  await bench.exitOverride().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`bench: ${describeError(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
