/**
 * `bench agent`: how soon a workload has its identity, what many streams and a restart with thousands of workloads
 * take, and what an idle agent costs, beside SPIRE.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scope } from '../../core/index.ts';
import type { ChildProgram } from '../child-program.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds, type Row } from '../measurement.ts';
import { choosePlacement, type Placement, placeSelf } from '../placement.ts';
import { printProfile } from '../profile.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { findTool, outputOf } from '../tool.ts';
import { type AgentMesh, entriesOfOthers, entryOfMine } from './agent-mesh.ts';
import { fanOutColumns } from './fan-out.ts';
import { ofNewEntries, onNewConnections, svidsWithin } from './first-svid.ts';
import { ofNewProcesses } from './new-process.ts';
import { restarting, untilHeld } from './restart.ts';
import { startSignetMesh } from './signet-mesh.ts';
import { findSpire, type SpirePrograms, startSpireMesh } from './spire-mesh.ts';
import { workloadStreams } from './workload-streams.ts';

export interface AgentBenchOptions extends BenchOptions {
  readonly workloads: number;
  readonly streams: number;
  /** How long nothing happens before memory is read, in seconds. */
  readonly quiet: number;
  readonly profile: string | undefined;
}

export async function benchAgent(options: AgentBenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `agent: first SVIDs, then ${options.workloads} of them at once`, machine);
  const spire = findSpire();
  if (spire === undefined) print('no SPIRE: bench/agent/install-peers.sh builds it');
  const placement = choosePlacement();
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    placeSelf(placement);
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const meshes = await startMeshes(directory, placement, spire, options.workloads, scope);
    for (const mesh of meshes) await mesh.createEntry(entryOfMine('mine'));

    const rounds = new Rounds(options, print);
    await withAgents(meshes, 1, async (running) => {
      const idles = running.map(({ mesh, agent }) => idling(mesh, agent, options.quiet));
      await rounds.measure(idles, 'rssMiB');
      const streams = new Scope();
      scope.add(streams);
      const fanOuts: Candidate[] = [];
      for (const { mesh, agent } of running) {
        fanOuts.push(await workloadStreams(mesh, agent, options.streams, streams));
      }
      await rounds.measure(fanOuts, 'fanOutMs');
      await streams.close();
    });

    const others = entriesOfOthers(options.workloads - 1);
    if (others.length > 0) for (const mesh of meshes) await mesh.importEntries(others);
    const python = findPython();
    await withAgents(meshes, options.workloads, async (running) => {
      const firsts = running.flatMap(({ mesh, agent }) => [
        onNewConnections(mesh, agent),
        ...(python === undefined ? [] : [ofNewProcesses(mesh, agent, python)]),
        ofNewEntries(mesh, agent),
      ]);
      await rounds.measure(firsts, 'p99Ms');
    });
    const restarts = meshes.map((mesh) => restarting(mesh, options.workloads, options.profile));
    await rounds.measure(restarts, 'stormMs');

    const { seconds } = options;
    const result = {
      benchmark: 'agent',
      startedAt,
      machine,
      seconds,
      rounds: options.rounds,
      loadAverageAtEnd: loadAverage(),
      notes: notesOf(options, placement, { spire, python }),
      rows: rounds.rows,
    };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
  if (options.profile !== undefined) printProfile(print, options.profile);
}

async function startMeshes(
  directory: string,
  placement: Placement,
  spire: SpirePrograms | undefined,
  workloads: number,
  scope: Scope,
): Promise<readonly AgentMesh[]> {
  const ours = await startSignetMesh(directory, placement, scope);
  if (spire === undefined) return [ours];
  const svidsMax = workloads + svidsToSpare;
  return [ours, await startSpireMesh(spire, { directory, placement, svidsMax }, scope)];
}

/** The interpreter itself: what is on the path may be a script that looks for one, at greater length than all else here takes. */
function findPython(): string | undefined {
  const found = findTool('python3');
  if (found === undefined) return undefined;
  return outputOf(found, ['-c', 'import sys; print(sys.executable)'])?.trim();
}

interface Running {
  readonly mesh: AgentMesh;
  readonly agent: ChildProgram;
}

/** With one agent of each mesh, each of which holds so many SVIDs. */
async function withAgents(
  meshes: readonly AgentMesh[],
  svids: number,
  use: (running: readonly Running[]) => Promise<void>,
): Promise<void> {
  const running: Running[] = [];
  for (const mesh of meshes) running.push({ mesh, agent: await mesh.startAgent() });
  for (const mesh of meshes) {
    await untilHeld(mesh, svids);
    await svidsWithin(mesh.socket, 1, undefined, mesh.startingStatuses);
  }
  await use(running);
  for (const { agent } of running) await agent.close();
}

/** Collects the rows of several measurements, each of which has its candidates in turns. */
class Rounds {
  readonly rows: Row[] = [];
  readonly #options: AgentBenchOptions;
  readonly #print: Print;

  constructor(options: AgentBenchOptions, print: Print) {
    this.#options = options;
    this.#print = print;
  }

  async measure(candidates: readonly Candidate[], figure: string): Promise<void> {
    const options = this.#options;
    const column = columns.find((one) => one.figure === figure);
    const wanted = candidates.filter(({ name }) => name.includes(options.only));
    if (column === undefined || wanted.length === 0) return;
    const rows = await measureInRounds(wanted, {
      ...options,
      progress: (round, samples) => this.#print(formatRound(round, options, samples, column)),
    });
    this.rows.push(...rows);
  }
}

function idling(mesh: AgentMesh, agent: ChildProgram, quiet: number): Candidate {
  const row = `${mesh.name}: idle`;
  return {
    name: row,
    warmsUp: false,
    async measure() {
      await sleep(quiet * 1000);
      const before = processCpuMicros(agent.pid);
      await sleep(quiet * 1000);
      const cpuMicros = processCpuMicros(agent.pid) - before;
      const figures = {
        rssMiB: residentMiB(agent.pid) ?? 0,
        idleCpuPercent: cpuMicros / 10_000 / quiet,
      };
      return [{ row, figures }];
    },
  };
}

function notesOf(
  { seconds, rounds, workloads, quiet, streams }: AgentBenchOptions,
  placement: Placement,
  { spire, python }: { spire: SpirePrograms | undefined; python: string | undefined },
): readonly string[] {
  return [
    `${placement.description}; figures are median (least–most) of ${rounds} rounds of ${seconds} s; p50 and p99 are of all tries of a round`,
    `ours is built first, as the package is; a node has ${workloads} entries, of which this process and its children fit one, as a workload does`,
    `idle: one workload's SVID held and nobody connected, over ${quiet} s`,
    `streams: ${streams} of the Workload API, a connection each, while the node has one entry; set-up 200 under way at once, memory as they have come and 4.5 s later, measured once; fan-out: from the first byte at the first client to the last byte at the last, when an entry comes or goes`,
    'a new connection is attested anew, whatever process makes it; the time begins before the socket is opened',
    'a new process: from its connect to its first SVID, by its own clock; the whole has its start and its end, and the start of Python above all',
    'a new entry: from the call of the admin API to the SVID at a workload, the entry before it deleted first, out of the time; ours is pushed, SPIRE asks its server every 5 s and is called by its own command',
    `restart: from the socket of a newly started agent, with no cache, until it holds all SVIDs and each of ${workloads} connections, opened at once, has its own; SPIRE listens later than ours, so compare the whole, which begins with the process; both attest a new node`,
    'tried again: calls that were told to come back, as all are that come before the first push of our CA, and before SPIRE knows its entries; any other refusal ends the measurement',
    'our CA has each record on the disk before the answer leaves; the SPIRE server has SQLite with its defaults, and keeps its keys in memory',
    ...(spire === undefined
      ? ['SPIRE is not here: bench/agent/install-peers.sh builds it']
      : [`SPIRE ${spire.version}`]),
    ...(python === undefined ? ['python3 is not here: it is the new process'] : []),
  ];
}

// SPIRE's agent holds no fewer, and those of entries that come and go want room, too.
const svidsToSpare = 1000;

const columns: readonly Column[] = [
  { figure: 'p99Ms', title: 'p99 ms', digits: 1 },
  { figure: 'p50Ms', title: 'p50 ms', digits: 1 },
  { figure: 'stormMs', title: 'all ms', digits: 0 },
  { figure: 'servedMs', title: 'all served ms', digits: 0 },
  { figure: 'startMs', title: 'start ms', digits: 0 },
  { figure: 'wholeMs', title: 'whole ms', digits: 0 },
  { figure: 'tryCount', title: 'tried again', digits: 0 },
  { figure: 'cpuMicrosPerOperation', title: 'CPU µs each', digits: 0 },
  ...fanOutColumns,
  { figure: 'rssMiB', title: 'RSS MiB', digits: 0 },
  { figure: 'idleCpuPercent', title: 'idle CPU %', digits: 2 },
];
