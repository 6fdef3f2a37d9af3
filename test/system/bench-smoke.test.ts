/** The benchmarks run and say what they measured. Nothing is timed here. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../architecture/source-files.ts';

interface Result {
  readonly benchmark: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly figures: Readonly<Record<string, { median: number; min: number; max: number }>>;
  }[];
}

interface Smoke {
  readonly benchmark: string;
  readonly more?: readonly string[];
  readonly rows: readonly string[];
  /** Rows that are there where the tool is, or all of several tools with commas between. */
  readonly beside: Readonly<Record<string, readonly string[]>>;
  /** Every row has one of these. */
  readonly figures: readonly string[];
}

test.for<Smoke>([
  {
    benchmark: 'issuance',
    rows: [
      'crypto.sign',
      'bare: parse, verify, sign',
      'pki: CSR → certificate',
      'cycle: CSR → durable certificate, in process',
      'ca: 1 a call',
      'ca: 64 a call',
      'ca: 256 a call',
      'all cores: bare, main thread',
      'all cores: bare, thread pool',
      'all cores: ca, main thread',
      'all cores: ca, thread pool',
      'push to a node: quiet',
      'push to a node: 1000 requests under way',
      '@peculiar/x509: CSR → certificate',
    ],
    beside: {
      openssl: ['openssl speed: sign', 'openssl speed: verify'],
      cfssl: ['cfssl serve: /api/v1/cfssl/sign'],
    },
    figures: ['cpuMicrosPerOperation', 'pushMsMedian'],
  },
  {
    benchmark: 'audit',
    rows: [
      'bare file: append and sync, 1 at once',
      'bare file: append and sync, 64 at once',
      'sqlite WAL, synchronous=FULL, 1 at once',
      'sqlite WAL, synchronous=FULL, 64 at once',
      'audit log: append, 1 at once',
      'audit log: append, 8 at once',
      'audit log: append, 64 at once',
      'audit log: append, 512 at once',
      'audit log: verify, a record',
      'audit log: prove a record',
    ],
    beside: {},
    figures: ['cpuMicrosPerOperation'],
  },
  {
    benchmark: 'proxy',
    more: ['--idle', '10', '--quiet', '0.1'],
    rows: [...rowsOfHop('signet'), ...rowsOfRelay('signet')],
    beside: {
      nginx: rowsOfHop('nginx'),
      envoy: [...rowsOfHop('envoy'), ...rowsOfRelay('envoy')],
      h2load: ['gRPC h2c: signet'],
      'h2load, nginx': ['gRPC h2c: nginx'],
      'h2load, envoy': ['gRPC h2c: envoy'],
      'nginx, nginx stream': rowsOfRelay('nginx'),
      wrk: rowsOfPair('signet'),
      'wrk, nginx': rowsOfPair('nginx'),
      'wrk, envoy': rowsOfPair('envoy'),
    },
    figures: ['cpuMicrosPerRequest', 'handshakesPerCore', 'megabytesPerCpuSecond', 'residentMiB'],
  },
  {
    benchmark: 'crowd',
    more: ['--idle', '40', '--quiet', '0.1'],
    rows: ['idle plaintext', 'idle mTLS'],
    beside: {},
    figures: ['residentMiB'],
  },
  {
    benchmark: 'registry',
    more: ['--entries', '200'],
    rows: [
      'level: every record read and parsed',
      'registry: store and view',
      'signet ca: process to ready',
    ],
    beside: {},
    figures: ['startMs'],
  },
  {
    benchmark: 'sync',
    more: ['--agents', '4', '--idle', '4', '--quiet', '0.2'],
    rows: [
      'grpc-js: the same bytes to all',
      'ca: an entry that all nodes see',
      'ca: an entry that one node sees',
      'grpc-js: idle agents',
      'ca: idle agents',
    ],
    beside: {},
    figures: ['rssMiB'],
  },
  {
    benchmark: 'sds',
    more: ['--streams', '8'],
    rows: ['grpc-js: the same bytes to all', 'agent: other roots to all'],
    beside: {},
    figures: ['rssMiB'],
  },
  {
    benchmark: 'agent',
    more: ['--workloads', '4', '--streams', '4', '--quiet', '0.2'],
    rows: rowsOfAgent('agent'),
    beside: {
      python3: ['agent: first SVID of a new process'],
      SPIRE: rowsOfAgent('SPIRE agent'),
      'python3, SPIRE': ['SPIRE agent: first SVID of a new process'],
    },
    figures: ['rssMiB'],
  },
])('bench $benchmark prints a table and one JSON object', async (expected) => {
  const { benchmark, figures, more = [] } = expected;
  const { stdout } = await run(
    process.execPath,
    [benchScript, benchmark, '--seconds', '0.2', '--rounds', '1', '--json', ...more],
    { cwd: projectRoot },
  );
  const lines = stdout.trim().split('\n');
  const result = JSON.parse(lines.at(-1) ?? '') as Result;
  expect(result.benchmark).toBe(benchmark);
  expect(result.machine['cpu']).toEqual(expect.any(String));

  // A program that is not on this machine has no rows, and the notes say so.
  const isHere = (tool: string): boolean =>
    !result.notes.some((note) => note.startsWith(`${tool} is not here`));
  const wanted = Object.entries(expected.beside).flatMap(([tools, rows]) =>
    tools.split(', ').every(isHere) ? rows : [],
  );
  const names = result.rows.map((row) => row.name);
  expect(new Set(names)).toEqual(new Set<string>([...expected.rows, ...wanted]));
  for (const name of names) expect(lines.some((line) => line.startsWith(name))).toBe(true);
  for (const row of result.rows) {
    const figure = figures.map((name) => row.figures[name]).find((each) => each !== undefined);
    const { median, min, max } = figure ?? { median: 0, min: 0, max: 0 };
    expect([min, median, max].every((value) => value > 0 && Number.isFinite(value))).toBe(true);
  }
  expect(lines.some((line) => line.startsWith('round 1 of 1'))).toBe(true);
});

test.for([
  [['proxy', '--rounds', '0'], 'a number above 0 is needed'],
  [['issuance', '--rounds', '1.5'], 'a whole number is needed'],
  [['sync', '--agents', '-1'], 'a number above 0 is needed'],
  [['both'], "unknown command 'both'"],
] as const)('%o is refused with the reason', async ([args, reason]) => {
  const failed = run(process.execPath, [benchScript, ...args], { cwd: projectRoot });
  await expect(failed).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(reason) });
});

function rowsOfHop(name: string): string[] {
  const kinds = ['plaintext', 'mTLS', 'mTLS handshake and request', 'idle plaintext', 'idle mTLS'];
  return kinds.map((kind) => `${kind}: ${name}`);
}

function rowsOfAgent(name: string): string[] {
  const kinds = [
    'idle',
    'an SVID more or less to 4 streams',
    'first SVID on a new connection',
    'SVID of a new entry, from the CA',
    'restarted, 4 SVIDs anew',
  ];
  return kinds.map((kind) => `${name}: ${kind}`);
}

function rowsOfRelay(name: string): string[] {
  return ['up', 'down'].map((direction) => `TLS relay ${direction}: ${name}`);
}

function rowsOfPair(name: string): string[] {
  return [`one process: ${name}`, `two processes on a port: ${name}`];
}

const benchScript = join(projectRoot, 'bench/bench.ts');
const run = promisify(execFile);
