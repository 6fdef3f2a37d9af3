/**
 * `bench crowd`: what very many idle connections cost the proxy that holds them, how others are served meanwhile, and
 * what becomes of those above its bound.
 *
 * A process may have so many files open and no more, so the proxy has as many workers, and there are as many processes
 * of clients, as that takes. Each of those connects to an address of its own, 127.0.0.3 and so on, for towards one there
 * are only so many ports to connect from; to choose the source instead has the kernel search long for a free one.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, Scope, sleep, systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { residentMiB } from '../cpu-time.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, type Figures, measureInRounds } from '../measurement.ts';
import { choosePlacement, type Placement } from '../placement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';
import type { Column } from '../table.ts';
import { findTool } from '../tool.ts';
import { askOnce, type LoadTarget, opener } from './load-connection.ts';
import { openIdle } from './load.ts';
import { dnsNameOf, makeIdentities, type PemFiles, writePemFiles } from './mesh-identities.ts';
import { startSdsSource } from './sds-source.ts';
import { startService } from './service.ts';
import { commonConfig, isReady, readStats } from './sidecar.ts';

export interface CrowdBenchOptions extends BenchOptions {
  /** How many connections there are. */
  readonly idle: number;
  /** How long nothing happens before memory is read. */
  readonly quietSeconds: number;
}

export async function benchCrowd(options: CrowdBenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `crowd: ${options.idle} idle connections of HTTP/1.1`, machine);
  const placement = choosePlacement();
  const filesMax = openFilesMax();
  const workers = Math.max(2, Math.ceil((options.idle * roomFactor) / (filesMax - filesKept)));
  const notes = [
    `${workers} workers, each with at most ${filesMax} open files; memory is theirs and that of the process above them, without the kernel's`,
    'growth since the workers were ready and warm, over all connections; each has had one answer, and then is silent',
  ];
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const setting = await startSetting(scope, { directory, placement, workers, ...options });
    const candidates = (['plaintext', 'mTLS'] as const)
      .map((mode) => candidate(scope, `idle ${mode}`, mode, setting))
      .filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(candidates, {
      rounds: 1,
      seconds: options.seconds,
      progress: (round, samples) =>
        print(formatRound(round, { ...options, rounds: 1 }, samples, columns[0])),
    });
    await scope.close();
    const { seconds } = options;
    const made = { startedAt, machine, seconds, rounds: 1, loadAverageAtEnd: loadAverage() };
    printResult(print, { benchmark: 'crowd', ...made, notes, rows }, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
}

interface CrowdSetting {
  readonly directory: string;
  readonly placement: Placement;
  readonly workers: number;
  readonly idle: number;
  readonly quietSeconds: number;
  readonly clientId: string;
  readonly client: PemFiles;
  readonly servicePort: number;
  readonly sdsSocket: string;
}

async function startSetting(
  scope: Scope,
  p: Pick<CrowdSetting, 'directory' | 'placement' | 'workers' | 'idle' | 'quietSeconds'>,
): Promise<CrowdSetting> {
  const { directory, placement, workers, idle, quietSeconds } = p;
  const identities = await makeIdentities();
  const files = writePemFiles(directory, 'service', identities.backend, identities.root);
  const nginx = findTool('nginx');
  const service = await startService(scope, { directory, placement, files, nginx });
  return {
    directory,
    placement,
    workers,
    idle,
    quietSeconds,
    clientId: identities.client.id,
    client: writePemFiles(directory, 'client', identities.client, identities.root),
    servicePort: service.plaintextPort,
    sdsSocket: scope.add(await startSdsSource(directory, identities)).socket,
  };
}

/** Everything it starts ends with it, so that the next finds a new proxy. */
function candidate(
  outer: Scope,
  row: string,
  mode: 'plaintext' | 'mTLS',
  setting: CrowdSetting,
): Candidate {
  return {
    name: row,
    warmsUp: false,
    async measure(seconds) {
      const scope = new Scope();
      // A signal ends it too.
      outer.onClose(() => scope.close());
      try {
        return [{ row, figures: await measureCrowd(scope, mode, setting, seconds) }];
      } finally {
        await scope.close();
      }
    },
  };
}

async function measureCrowd(
  scope: Scope,
  mode: 'plaintext' | 'mTLS',
  setting: CrowdSetting,
  seconds: number,
): Promise<Figures> {
  const { client, idle, quietSeconds, placement } = setting;
  const { port, adminPort, program } = await startCrowdProxy(scope, mode, setting);
  const tls = mode === 'plaintext' ? {} : { tls: { ...client, serverName: dnsNameOf('proxy') } };
  const target: LoadTarget = { port, connections: 0, ...tls };
  await askInTurn(target, () => warmUpRequests);
  const residentOfAll = async (): Promise<number> => {
    await sleep(systemClock, quietSeconds * 1000);
    const pids = [program.pid, ...(await readStats(adminPort)).workers.map(({ pid }) => pid)];
    return pids.reduce((sum, pid) => sum + (residentMiB(pid) ?? 0), 0);
  };
  const before = await residentOfAll();
  const started = systemClock.monotonicMs();
  await openCrowd(scope, placement, target, idle);
  const openMs = systemClock.monotonicMs() - started;
  const after = await residentOfAll();
  const held = (await readStats(adminPort)).listeners['crowd']?.['connectionsActive'] ?? 0;
  if (held < idle) throw new BenchError('bench_process', `only ${held} connections are held`);
  // Others, of whom each comes, asks and goes.
  const end = systemClock.monotonicMs() + seconds * 1000;
  const times = await askInTurn(target, (count) =>
    systemClock.monotonicMs() < end || count === 0 ? count + 1 : count,
  );
  return {
    idleKiB: ((after - before) * 1024) / idle,
    residentMiB: after,
    openedPerSecond: (idle / openMs) * 1000,
    p50Ms: times[Math.floor(times.length * 0.5)] ?? 0,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
    ...(await knock(scope, setting, { target, adminPort })),
  };
}

/** Opens twice as many more as the bound has room for: what is held in the end, and how many were turned away. */
async function knock(
  scope: Scope,
  { idle, placement, workers }: CrowdSetting,
  { target, adminPort }: { readonly target: LoadTarget; readonly adminPort: number },
): Promise<Figures> {
  const more = Math.ceil(2 * (connectionsMax(idle, workers) - idle));
  await openCrowd(scope, placement, { ...target, mayBeRefused: true }, more);
  const stats = (await readStats(adminPort)).listeners['crowd'] ?? {};
  return {
    heldAtBound: stats['connectionsActive'] ?? 0,
    overLimit: stats['connectionsOverLimit'] ?? 0,
  };
}

async function startCrowdProxy(
  scope: Scope,
  mode: 'plaintext' | 'mTLS',
  { directory, placement, workers, idle, clientId, servicePort, sdsSocket }: CrowdSetting,
): Promise<{ readonly port: number; readonly adminPort: number; readonly program: ChildProgram }> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const bound = connectionsMax(idle, workers);
  const name = `crowd-${mode}`;
  const config = writeConfig(directory, name, {
    ...commonConfig(sdsSocket, adminPort),
    workers,
    connectionsMax: bound,
    listeners: [
      {
        name: 'crowd',
        address: `0.0.0.0:${port}`,
        ...(mode === 'plaintext' ? { plaintext: true } : { tls: { allow: [clientId] } }),
        connectionsMax: bound,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'service' }],
      },
    ],
    clusters: [{ name: 'service', endpoints: [`127.0.0.1:${servicePort}`] }],
    timeouts: { idle: '2h', drain: '100ms' },
  });
  const command = [...placement.everywhere, ...signetCommand('proxy', config)];
  const program = scope.add(startProgram({ name, directory, command }));
  await untilReady(program, () => isReady(adminPort));
  return { port, adminPort, program };
}

/** As many processes of clients as it takes, one after another: a storm is not what is measured. */
async function openCrowd(
  scope: Scope,
  placement: Placement,
  target: LoadTarget,
  count: number,
): Promise<void> {
  const groupMax = Math.min(openFilesMax() - filesKept, portsOfAddress);
  for (let left = count; left > 0; left -= groupMax) {
    groups += 1;
    const connections = Math.min(left, groupMax);
    const host = `127.0.${Math.floor(groups / 250)}.${2 + (groups % 250)}`;
    await openIdle(scope, placement, { ...target, connections, host, atOnce });
  }
}

/** One connection and one request after another, until `limit` of their count is reached; times in ms, sorted. */
async function askInTurn(
  target: LoadTarget,
  limit: (count: number) => number,
): Promise<readonly number[]> {
  const open = opener(target);
  const times: number[] = [];
  while (times.length < limit(times.length)) {
    const started = systemClock.monotonicMs();
    const socket = await open();
    await askOnce(socket);
    times.push(systemClock.monotonicMs() - started);
    socket.destroy();
  }
  return times.toSorted((a, b) => a - b);
}

/** The kernel shares connections out by chance: so much room has each worker above its part. */
function connectionsMax(idle: number, workers: number): number {
  const share = idle / workers;
  return Math.ceil(workers * (share + deviationsKept * Math.sqrt(share)));
}

/** What the limit of this process is, which its children get too. */
function openFilesMax(): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return Number(soft ?? '1024');
}

const columns: readonly [Column, ...Column[]] = [
  { figure: 'idleKiB', title: 'KiB per connection', digits: 1 },
  { figure: 'residentMiB', title: 'RSS MiB of all', digits: 0 },
  { figure: 'openedPerSecond', title: 'opened/s', digits: 0 },
  { figure: 'p50Ms', title: 'others p50 ms', digits: 2 },
  { figure: 'p99Ms', title: 'others p99 ms', digits: 2 },
  { figure: 'heldAtBound', title: 'held at the bound', digits: 0 },
  { figure: 'overLimit', title: 'turned away', digits: 0 },
];
let groups = 0;
// A share is a sum of coins thrown, of which none is eight deviations above its mean.
const deviationsKept = 8;
// Of workers whose shares are full, with a reserve.
const roomFactor = 1.06;
// What a process has open besides: connections onward, its log, its admin port, what Node.js itself needs.
const filesKept = 1200;
// Half of net.ipv4.ip_local_port_range's 28,000: the kernel looks long for one of the other half.
const portsOfAddress = 13_500;
const warmUpRequests = 400;
// What is opened waits for several processes in turn, which on a busy machine takes long and costs nothing.
const atOnce = 200;
