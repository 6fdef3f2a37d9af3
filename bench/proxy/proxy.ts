/** `bench proxy`: what one hop costs the proxy in it, in plaintext and in mutual TLS, beside nginx. */

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
import { hopCandidates } from './drives.ts';
import type { HopSetting } from './hop.ts';
import { makeIdentities, writePemFiles } from './mesh-identities.ts';
import { startNginx } from './nginx.ts';
import { printProfile } from './profile.ts';
import { startSdsSource } from './sds-source.ts';
import { startService } from './service.ts';
import { startSidecar } from './sidecar.ts';

export interface ProxyBenchOptions extends BenchOptions {
  /** Where to write a CPU profile of our proxy. */
  readonly profile: string | undefined;
  readonly connections: number;
}

export async function benchProxy(options: ProxyBenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(
    print,
    `proxy: one HTTP/1.1 hop, 128 bytes, ${options.connections} connections`,
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
    const candidates = all.filter(({ name }) => name.includes(options.only));
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
    release();
  }
}

async function startCandidates(
  scope: Scope,
  placement: Placement,
  options: ProxyBenchOptions,
  notes: string[],
): Promise<readonly Candidate[]> {
  const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
  scope.onClose(() => rmSync(directory, { recursive: true }));
  const identities = await makeIdentities();
  const nginx = findTool('nginx');
  const files = writePemFiles(directory, 'service', identities.backend, identities.root);
  const backend = await startService(scope, { directory, placement, files, nginx });
  const setting: HopSetting = { directory, placement, identities, backend };
  const sds = scope.add(await startSdsSource(directory, identities));
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const hops = [await startSidecar(scope, setting, sds.socket, profile)];
  if (nginx === undefined) notes.push('nginx is not here: its rows are left out');
  else hops.push(await startNginx(scope, nginx, setting));
  const client = writePemFiles(directory, 'client', identities.client, identities.root);
  const wrk = findTool('wrk');
  if (wrk === undefined) notes.push('wrk is not here: our own load generator is slower');
  const { connections } = options;
  return hopCandidates(scope, { directory, placement, connections, client, wrk, nginx }, hops);
}

const columns: readonly [Column, ...Column[]] = [
  { figure: 'cpuMicrosPerRequest', title: 'CPU µs per request', digits: 1 },
  { figure: 'requestsPerSecond', title: 'requests/s', digits: 0 },
  { figure: 'cpuBusyPercent', title: 'busy %', digits: 0 },
  { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
  { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
  { figure: 'residentMiB', title: 'RSS MiB', digits: 0 },
];
