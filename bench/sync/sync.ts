/** `bench sync`: how soon a change reaches every agent, and what agents cost that have nothing to do. */

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { Scope } from '../../core/index.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds, type Sample } from '../measurement.ts';
import { choosePlacement, type Placement, placeSelf } from '../placement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';
import type { Column } from '../table.ts';
import type { BareStreamOptions } from './bare-stream.ts';
import { connectFleet, type Fleet } from './fleet.ts';
import { attestNodes, type NodeIdentity } from './identities.ts';

export interface SyncOptions extends BenchOptions {
  readonly agents: number;
  readonly idle: number;
  /** How long nothing happens before memory is read, in seconds. */
  readonly quiet: number;
  readonly profile: string | undefined;
}

export async function benchSync(options: SyncOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `sync: ${options.agents} agents, then ${options.idle} idle ones`, machine);
  const placement = choosePlacement();
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    placeSelf(placement);
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const ca = scope.add(await startAuthority(directory, placement, options.profile));
    const { admin, agentAddress } = ca;
    const count = Math.max(options.agents, options.idle);
    const nodes = await attestNodes({ admin, agentAddress, count, aliasId: poolId });
    for (let at = 0; at < entriesEach; at += 1) await addEntry(admin, poolId, `base-${at}`);
    print(`${count} nodes attested, ${entriesEach} entries for all of them`);

    const some = nodes.identities.slice(0, options.agents);
    const fleet = scope.add(await connectFleet(ca.port, some));
    const [first] = some;
    const floor = scope.add(
      await startFloor(directory, placement, {
        roots: nodes.roots,
        certificates: first?.certificates ?? '',
        privateKey: first?.privateKey ?? '',
        message: fleet.newest().toString('base64'),
      }),
    );
    const bare = scope.add(await connectFleet(floor.port, some));
    let change = 0;
    const addOne = (parentId: string) => () => addEntry(admin, parentId, `change-${change++}`);
    const candidates = [
      pushing('grpc-js: the same bytes to all', floor.program, bare, bare.size, () => {
        process.kill(floor.program.pid, 'SIGUSR2');
      }),
      pushing('ca: an entry that all nodes see', ca.program, fleet, fleet.size, addOne(poolId)),
      pushing('ca: an entry that one node sees', ca.program, fleet, 1, addOne(first?.id ?? '')),
    ].filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(candidates, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    await bare.close();
    await fleet.close();
    // Each anew: memory that a program has once had it does not give back.
    const given = floor.options;
    await floor.close();
    await ca.close();
    const idle: Sample[] = [];
    const newFloor = scope.add(await startFloor(directory, placement, given));
    idle.push(await idling('grpc-js: idle agents', newFloor, nodes.identities, options));
    await newFloor.close();
    const newCa = scope.add(await startAuthority(directory, placement, undefined));
    idle.push(await idling('ca: idle agents', newCa, nodes.identities, options));
    const { seconds, rounds } = options;
    const notes = [
      `${placement.description}; figures are median (least–most) of ${rounds} interleaved rounds of ${Math.max(1, Math.round(seconds * changesPerSecond))} changes each; p99 is over all agents and changes of a round`,
      `every agent has a connection with mutual TLS, a certificate and a stream of its own; all of them live in one process, and the last of them gets its message when that process has read those of the others: the first row is what that alone takes`,
      'a change is counted from the call to the admin API: it is durable, recorded in the audit log and gathered for 10 ms before it is pushed',
      `idle agents: resident memory with all of them connected, less that of before, after ${options.quiet} s of quiet, in programs started anew`,
    ];
    const result = {
      benchmark: 'sync',
      startedAt,
      machine,
      seconds,
      rounds,
      loadAverageAtEnd: loadAverage(),
      notes,
      rows: [...rows, ...idle.map(rowOf)],
    };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
}

function rowOf({ row, figures }: Sample) {
  const spreads = Object.entries(figures).map(
    ([name, value]) => [name, { median: value, min: value, max: value }] as const,
  );
  return { name: row, figures: Object.fromEntries(spreads) };
}

interface Server {
  readonly program: ChildProgram;
  readonly port: number;
  close(): Promise<void>;
}

interface Authority extends Server {
  readonly admin: AdminClient;
  readonly agentAddress: string;
}

async function startAuthority(
  directory: string,
  placement: Placement,
  profile: string | undefined,
): Promise<Authority> {
  const adminSocket = join(directory, 'admin.sock');
  const keyFile = join(directory, 'kek');
  // The second start is on the same store, which is sealed with the first key.
  if (!existsSync(keyFile)) {
    writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  }
  mkdirSync(join(directory, 'ca'), { mode: 0o700, recursive: true });
  const config = writeConfig(directory, 'ca', {
    trustDomain: 'mesh.test',
    data: join(directory, 'ca'),
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: keyFile },
    // Thousands of nodes come at once here, which is not what is asked.
    limits: { signingPerSecond: 1_000_000, attestationsPerSecond: 1_000_000 },
    logLevel: 'error',
  });
  const flags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profile)}`];
  const command = [...placement.underTest, ...signetCommand('ca', config, flags)];
  const program = startProgram({ name: 'ca', directory, command });
  try {
    const admin = adminClient(adminSocket);
    const { agentAddress } = await untilReady(program, () => admin.status());
    const port = Number(agentAddress.slice(agentAddress.lastIndexOf(':') + 1));
    return { program, port, admin, agentAddress, close: () => program.close() };
  } catch (error) {
    await program.close();
    throw error;
  }
}

async function startFloor(
  directory: string,
  placement: Placement,
  options: BareStreamOptions,
): Promise<Server & { readonly options: BareStreamOptions }> {
  const file = join(directory, 'floor.json');
  writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
  const command = [...placement.underTest, process.execPath, benchScript, 'sync-floor', file];
  rmSync(join(directory, 'floor.log'), { force: true });
  const program = startProgram({ name: 'floor', directory, command });
  const port = await untilReady(program, () => {
    const text = program.lastWords();
    return Promise.resolve(/^\d+$/.test(text) ? Number(text) : undefined);
  });
  return { program, port, options, close: () => program.close() };
}

function pushing(
  name: string,
  program: ChildProgram,
  fleet: Fleet,
  expected: number,
  cause: () => unknown,
): Candidate {
  return {
    name,
    async measure(seconds) {
      const changes = Math.max(1, Math.round(seconds * changesPerSecond));
      const delays: number[] = [];
      let cpuMicros = 0;
      for (let change = 0; change < changes; change += 1) {
        // What the one before has left behind, acknowledgements above all, is no part of this one.
        await sleep(settleMs);
        const before = processCpuMicros(program.pid);
        delays.push(...(await fleet.pushed(expected, cause)));
        await sleep(settleMs);
        cpuMicros += processCpuMicros(program.pid) - before;
      }
      delays.sort((left, right) => left - right);
      const at = (share: number): number => delays[Math.ceil(delays.length * share) - 1] ?? 0;
      const figures = {
        p50Ms: at(0.5),
        p99Ms: at(0.99),
        maxMs: at(1),
        cpuMsPerChange: cpuMicros / 1000 / changes,
        rssMiB: residentMiB(program.pid) ?? 0,
      };
      return [{ row: name, figures }];
    },
  };
}

async function idling(
  name: string,
  { program, port }: Server,
  identities: readonly NodeIdentity[],
  options: SyncOptions,
): Promise<Sample> {
  const quietMs = options.quiet * 1000;
  await sleep(quietMs);
  const before = residentMiB(program.pid) ?? 0;
  const fleet = await connectFleet(port, identities.slice(0, options.idle));
  try {
    await sleep(quietMs);
    const cpuBefore = processCpuMicros(program.pid);
    await sleep(quietMs);
    const cpuMicros = processCpuMicros(program.pid) - cpuBefore;
    const rssMiB = residentMiB(program.pid) ?? 0;
    const figures = {
      rssMiB,
      growthMiB: rssMiB - before,
      kibPerAgent: ((rssMiB - before) * 1024) / options.idle,
      idleCpuPercent: (cpuMicros / 1000 / quietMs) * 100,
    };
    return { row: name, figures };
  } finally {
    await fleet.close();
  }
}

async function addEntry(admin: AdminClient, parentId: string, name: string): Promise<void> {
  await admin.createEntry({
    spiffeId: `spiffe://mesh.test/ns/default/sa/${name}`,
    parentId,
    selectors: ['k8s:ns:default', `k8s:sa:${name}`],
  });
}

const benchScript = resolve(import.meta.dirname, '../bench.ts');
const poolId = 'spiffe://mesh.test/pool';
const entriesEach = 20;
// Of the time a round is given; what a push takes comes on top.
const changesPerSecond = 5;
const settleMs = 150;

const columns: readonly [Column, ...Column[]] = [
  { figure: 'p99Ms', title: 'p99 ms', digits: 0 },
  { figure: 'p50Ms', title: 'p50 ms', digits: 0 },
  { figure: 'maxMs', title: 'last ms', digits: 0 },
  { figure: 'cpuMsPerChange', title: 'CPU ms per change', digits: 1 },
  { figure: 'rssMiB', title: 'RSS MiB', digits: 0 },
  { figure: 'growthMiB', title: 'of it idle agents', digits: 0 },
  { figure: 'kibPerAgent', title: 'KiB each', digits: 1 },
  { figure: 'idleCpuPercent', title: 'idle CPU %', digits: 1 },
];
