/** `bench proxy`: what one hop costs the proxy in it, in plaintext and in mutual TLS, beside nginx. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Scope } from '../../core/index.ts';
import { startProgram } from '../child-program.ts';
import { freePorts } from '../free-ports.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds } from '../measurement.ts';
import { choosePlacement, placeSelf, type Placement } from '../placement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { findTool } from '../tool.ts';
import type { Hop, HopSetting } from './hop.ts';
import { driveGenerator, driveWrk } from './load.ts';
import { dnsNameOf, makeIdentities, type PemFiles, writePemFiles } from './mesh-identities.ts';
import { startNginx } from './nginx.ts';
import { printProfile } from './profile.ts';
import { startSdsSource } from './sds-source.ts';
import { startSidecar } from './sidecar.ts';

export interface ProxyBenchOptions extends BenchOptions {
  /** Where to write a CPU profile of our proxy. */
  readonly profile: string | undefined;
}

export async function benchProxy(options: ProxyBenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `proxy: one HTTP/1.1 hop, 128 bytes, ${connections} connections`, machine);
  const placement = choosePlacement();
  const notes = [
    `${placement.description}; figures are median (least–most) of ${options.rounds} interleaved rounds of ${options.seconds} s`,
    'CPU time is that of all threads of the proxy process alone; rates and latencies depend on what drives it',
  ];
  const scope = new Scope();
  try {
    const { seconds, rounds } = options;
    placeSelf(placement);
    const { hops, client } = await startHops(scope, placement, options, notes);
    const wrk = findTool('wrk');
    if (wrk === undefined) {
      notes.push('wrk is not here: our own generator drives plaintext, too, and is slower');
    }
    const candidates = hops
      .flatMap((hop) => hopCandidates(hop, placement, client, wrk))
      .filter(({ name }) => name.includes(options.only));
    // The machine code of a proxy in JavaScript is made while it works; a sidecar works for days.
    for (const candidate of candidates) await candidate.measure(seconds * warmUpFactor);
    const rows = await measureInRounds(candidates, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    const result = {
      benchmark: 'proxy',
      startedAt,
      machine,
      seconds,
      rounds,
      loadAverageAtEnd: loadAverage(),
      notes,
      rows,
    };
    await scope.close();
    if (options.profile !== undefined) printProfile(print, options.profile);
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
  }
}

async function startHops(
  scope: Scope,
  placement: Placement,
  options: ProxyBenchOptions,
  notes: string[],
): Promise<{ readonly hops: readonly Hop[]; readonly client: PemFiles }> {
  const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
  scope.onClose(() => rmSync(directory, { recursive: true }));
  const identities = await makeIdentities();
  const [plaintextPort = 0, tlsPort = 0] = await freePorts(2);
  const backend = { plaintextPort, tlsPort };
  const files = writePemFiles(directory, 'backend', identities.backend, identities.root);
  const argument = JSON.stringify({ ...backend, ...files });
  scope.add(
    startProgram({
      name: 'backend',
      directory,
      command: [...placement.others, process.execPath, backendScript, argument],
    }),
  );
  const setting: HopSetting = { directory, placement, identities, backend };
  const sds = scope.add(await startSdsSource(directory, identities));
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const hops = [await startSidecar(scope, setting, sds.socket, profile)];
  const nginx = findTool('nginx');
  if (nginx === undefined) notes.push('nginx is not here: its rows are left out');
  else hops.push(await startNginx(scope, nginx, setting));
  const client = writePemFiles(directory, 'client', identities.client, identities.root);
  return { hops, client };
}

function hopCandidates(
  hop: Hop,
  placement: Placement,
  client: PemFiles,
  wrk: string | undefined,
): readonly Candidate[] {
  const setting = (port: number, seconds: number) => ({
    port,
    connections,
    // Long enough for the machine code of both ends to be there.
    warmUpMs: Math.min(seconds, 1) * 500,
    windowMs: seconds * 1000,
    watchedPid: hop.program.pid,
  });
  const candidate = (
    mode: string,
    drive: (seconds: number) => ReturnType<typeof driveGenerator>,
  ) => {
    const row = `${mode}: ${hop.name}`;
    return {
      name: row,
      async measure(seconds: number) {
        hop.program.check();
        return [{ row, figures: await drive(seconds) }];
      },
    };
  };
  const tls = { ...client, serverName: dnsNameOf('proxy') };
  return [
    candidate('plaintext', (seconds) => {
      const plaintext = setting(hop.plaintextPort, seconds);
      return wrk === undefined
        ? driveGenerator(placement, plaintext)
        : driveWrk(wrk, placement, plaintext);
    }),
    candidate('mTLS', (seconds) =>
      driveGenerator(placement, { ...setting(hop.tlsPort, seconds), tls }),
    ),
  ];
}

const backendScript = fileURLToPath(import.meta.resolve('./backend.ts'));

// Enough that the proxy finds work whenever it looks, few enough for the caches of a small machine.
const connections = 64;

// V8 compiles a hot path some ten thousand requests after its start, on a busy machine seconds later.
const warmUpFactor = 5;

const columns: readonly [Column, ...Column[]] = [
  { figure: 'cpuMicrosPerRequest', title: 'CPU µs per request', digits: 1 },
  { figure: 'requestsPerSecond', title: 'requests/s', digits: 0 },
  { figure: 'cpuBusyPercent', title: 'busy %', digits: 0 },
  { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
  { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
  { figure: 'residentMiB', title: 'RSS MiB', digits: 0 },
];
