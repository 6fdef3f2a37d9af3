/** `bench proxy`: what one hop of HTTP/1.1, gRPC or TCP costs the proxy in it, beside nginx and Envoy. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Scope } from '../../core/index.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds } from '../measurement.ts';
import { choosePlacement, placeSelf, type Placement } from '../placement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { findTool } from '../tool.ts';
import { findEnvoy } from '../envoy-wheel.ts';
import { grpcCandidates } from './grpc-load.ts';
import { hopCandidates, idleCandidates } from './drives.ts';
import { startEnvoy } from './envoy.ts';
import type { HopSetting } from './hop.ts';
import { makeIdentities, writePemFiles } from './mesh-identities.ts';
import { loadStream } from './nginx-program.ts';
import { startNginx } from './nginx.ts';
import { printProfile } from '../profile.ts';
import { relayCandidates } from './relay.ts';
import { buildSignet } from '../signet-program.ts';
import { startSdsSource } from './sds-source.ts';
import { startOwnService, startService } from './service.ts';
import { startSidecar } from './sidecar.ts';
import { pairCandidates, startPairs } from './two-processes.ts';

export interface ProxyBenchOptions extends BenchOptions {
  /** Where to write a CPU profile of our proxy. */
  readonly profile: string | undefined;
  readonly connections: number;
  /** How many idle connections are added at a time. */
  readonly idle: number;
  /** How long nothing happens before memory is read. */
  readonly quietSeconds: number;
}

export async function benchProxy(options: ProxyBenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(
    print,
    `proxy: one hop, HTTP/1.1 (128 bytes, ${options.connections} connections), gRPC and TCP`,
    machine,
  );
  const placement = choosePlacement();
  const notes = [
    `${placement.description}; figures are median (least–most) of ${options.rounds} interleaved rounds of ${options.seconds} s`,
    'CPU time is that of all threads of the proxy process alone; rates and latencies depend on what drives it',
  ];
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    const { seconds, rounds } = options;
    placeSelf(placement);
    const all = await startCandidates(scope, placement, options, notes);
    const chosen = (of: readonly Candidate[]): readonly Candidate[] =>
      of.filter(({ name }) => name.includes(options.only));
    // First, while the processes have nothing to give back that a connection could take.
    const idle = await measureInRounds(chosen(all.idle), { ...options, rounds: 1, progress() {} });
    const loaded = await measureInRounds(chosen(all.loaded), {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    const rows = [...loaded, ...idle];
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
    release();
  }
}

async function startCandidates(
  scope: Scope,
  placement: Placement,
  options: ProxyBenchOptions,
  notes: string[],
): Promise<{ readonly idle: readonly Candidate[]; readonly loaded: readonly Candidate[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
  scope.onClose(() => rmSync(directory, { recursive: true }));
  const identities = await makeIdentities();
  const nginx = findTool('nginx');
  const files = writePemFiles(directory, 'service', identities.backend, identities.root);
  const backend = {
    ...(await startService(scope, { directory, placement, files, nginx })),
    grpcPort: await startOwnService(scope, { directory, placement }, 'grpc-service'),
    relayPort: await startOwnService(scope, { directory, placement }, 'relay-service'),
  };
  const signet = buildSignet(join(directory, 'built'));
  const setting: HopSetting = { directory, placement, identities, backend, signet };
  const sds = scope.add(await startSdsSource(directory, identities));
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const hops = [await startSidecar(scope, setting, sds.socket, profile)];
  if (nginx === undefined) notes.push('nginx is not here: its rows are left out');
  else hops.push(await startNginx(scope, nginx, setting));
  if (nginx === undefined || loadStream(nginx) === undefined) {
    notes.push('nginx stream is not here: its rows are left out');
  }
  const envoy = findEnvoy();
  if (envoy === undefined) notes.push('envoy is not here: its rows are left out');
  else hops.push(await startEnvoy(scope, envoy, setting));
  const client = writePemFiles(directory, 'client', identities.client, identities.root);
  const wrk = findTool('wrk');
  notes.push(
    wrk === undefined
      ? 'wrk is not here: our own load generator is slower, and the rows of one process and of two are left out'
      : 'one process and two on a port: plaintext, on all cores, which the load shares with them; CPU time is that of both',
  );
  const h2load = findTool('h2load');
  notes.push(
    h2load === undefined
      ? 'h2load is not here: its rows are left out'
      : 'gRPC is measured in plaintext alone, for h2load presents no client certificate',
    'the relay takes mutual TLS in and gives plaintext out: up is decryption, down encryption; 1 MB is 10⁶ bytes',
  );
  const { connections, idle, quietSeconds } = options;
  const tools = { sdsSocket: sds.socket, nginx, envoy };
  const pairs =
    wrk === undefined
      ? []
      : pairCandidates({ placement, wrk, connections }, await startPairs(scope, setting, tools));
  const quietMs = quietSeconds * 1000;
  const drive = { directory, placement, connections, client, wrk, nginx, idle, quietMs };
  return {
    idle: idleCandidates(scope, drive, hops),
    loaded: [
      ...(await hopCandidates(scope, drive, hops)),
      ...(h2load === undefined ? [] : grpcCandidates({ directory, placement, h2load }, hops)),
      ...relayCandidates(placement, client, hops),
      ...pairs,
    ],
  };
}

const columns: readonly [Column, ...Column[]] = [
  { figure: 'cpuMicrosPerRequest', title: 'CPU µs per request', digits: 1 },
  { figure: 'requestsPerSecond', title: 'requests/s', digits: 0 },
  { figure: 'cpuBusyPercent', title: 'busy %', digits: 0 },
  { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
  { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
  { figure: 'handshakesPerCore', title: 'handshakes/s a core', digits: 0 },
  { figure: 'megabytesPerCpuSecond', title: 'MB per CPU second', digits: 0 },
  { figure: 'idleKiB', title: 'KiB per idle connection', digits: 1 },
  { figure: 'residentMiB', title: 'RSS MiB', digits: 0 },
];
