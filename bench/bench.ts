/** `npm run bench -- issuance|proxy`: what a certificate and a request cost, beside programs that everybody knows. */

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
}

const bench = new Command('bench').description('measures this machine, promises nothing');

// Each is loaded only when asked for, so that one measurement does not carry the other's code.
benchCommand('issuance', 'certificates: per core, beside openssl and @peculiar/x509').action(
  async (given: GivenOptions) => {
    const { benchIssuance } = await import('./issuance/issuance.ts');
    await benchIssuance(optionsOf(given), print);
  },
);
benchCommand('proxy', 'requests: one hop, plaintext and mutual TLS, beside nginx')
  .option(
    '--profile <directory>',
    'write a CPU profile of our proxy there; its figures then suffer',
  )
  .option('--connections <count>', 'how many clients ask at once', positiveInteger, 64)
  .action(async (given: GivenOptions) => {
    const { benchProxy } = await import('./proxy/proxy.ts');
    const { profile, connections = 64 } = given;
    await benchProxy({ ...optionsOf(given), profile, connections }, print);
  });

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
