/** `bench agent`: how soon a workload has its identity, what a restart with thousands of them takes, and what an idle agent costs. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CreateEntry, SpiffeWorkloadAPIService } from '../../api/index.ts';
import { Scope, systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import type { ChildProgram } from '../child-program.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds, type Sample } from '../measurement.ts';
import { choosePlacement, placeSelf } from '../placement.ts';
import { printProfile } from '../profile.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import { spreadOf } from '../statistics.ts';
import type { Column } from '../table.ts';
import { type BenchMesh, poolId, startBenchMesh } from './bench-mesh.ts';
import { fieldsOf, openUnixStream } from './unix-stream.ts';

export interface AgentBenchOptions extends BenchOptions {
  readonly workloads: number;
  /** How long nothing happens before memory is read, in seconds. */
  readonly quiet: number;
  readonly profile: string | undefined;
}

export async function benchAgent(options: AgentBenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `agent: first SVIDs, then ${options.workloads} of them at once`, machine);
  const placement = choosePlacement();
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    placeSelf(placement);
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const mesh = await startBenchMesh(directory, placement, scope);
    const { admin, socket } = mesh;
    await admin.createEntry(entryOf('mine', mine));
    const quietAgent = await mesh.startAgent();
    await svidsWithin(socket, 1);
    const idle = await idling(quietAgent, options.quiet);
    await quietAgent.close();

    const others = Array.from({ length: options.workloads - 1 }, (_, at) =>
      entryOf(`other-${at}`, 'unix:user:nobody-here'),
    );
    await admin.importEntries({ entries: others });
    const agent = await mesh.startAgent();
    await untilHeld(mesh, options.workloads);
    const candidates = [
      timing('agent: first SVID on a new connection', agent, {
        prepare: async () => {},
        timed: () => svidsWithin(socket, 1),
      }),
      timing('agent: SVID of a new entry, from the CA', agent, newEntries(mesh)),
    ].filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(candidates, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    await agent.close();

    const storm = await restarted(mesh, options);
    const { seconds, rounds } = options;
    const notes = [
      `${placement.description}; figures are median (least–most) of ${rounds} rounds of ${seconds} s; p99 is of all tries of a round`,
      `programs are built first, as the package is; the node has ${options.workloads} entries, of which this process fits one, as a workload does`,
      'a new connection is attested anew, whatever process makes it: kernel, /proc and entries are asked each time; the time begins before the socket is opened',
      'a new entry: from the call of the admin API to the SVID at a workload: a durable record, 10 ms in which changes gather, the push, a key, a signature and its durable record, and back; the entry before it is deleted first, out of the time',
      `restart: from the socket of a newly started agent, with no cache, until it holds all SVIDs and each of ${options.workloads} connections, opened at once, has its own; attestation of the node and of each connection, keys and requests are part of it`,
      'tried again: calls that were told to come back, as all are that come before the first push of the CA; any other refusal ends the measurement',
      `idle: one workload's SVID held and nobody connected, over ${options.quiet} s`,
    ];
    const result = {
      benchmark: 'agent',
      startedAt,
      machine,
      seconds,
      rounds,
      loadAverageAtEnd: loadAverage(),
      notes,
      rows: [...rows, ...[idle, storm].map(rowOf)],
    };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
  if (options.profile !== undefined) printProfile(print, options.profile);
}

function rowOf({ row, figures }: Sample) {
  const spreads = Object.entries(figures).map(
    ([name, value]) => [name, spreadOf([value])] as const,
  );
  return { name: row, figures: Object.fromEntries(spreads) };
}

interface Timed {
  /** Out of the time, though not out of the CPU time. */
  readonly prepare: () => Promise<void>;
  readonly timed: () => Promise<unknown>;
}

function timing(name: string, program: ChildProgram, { prepare, timed }: Timed): Candidate {
  return {
    name,
    async measure(seconds) {
      const end = systemClock.monotonicMs() + seconds * 1000;
      const delays: number[] = [];
      const before = processCpuMicros(program.pid);
      do {
        await prepare();
        const beganMs = performance.now();
        await timed();
        delays.push(performance.now() - beganMs);
      } while (systemClock.monotonicMs() < end);
      const cpuMicros = processCpuMicros(program.pid) - before;
      delays.sort((left, right) => left - right);
      const at = (share: number): number => delays[Math.ceil(delays.length * share) - 1] ?? 0;
      const figures = {
        p99Ms: at(0.99),
        p50Ms: at(0.5),
        cpuMicrosPerOperation: cpuMicros / delays.length,
        rssMiB: residentMiB(program.pid) ?? 0,
      };
      return [{ row: name, figures }];
    },
  };
}

/** One new entry after another, each gone before the next comes: an answer has two identities at most. */
function newEntries({ admin, socket }: BenchMesh): Timed {
  let count = 0;
  let newest: string | undefined;
  return {
    async prepare() {
      if (newest !== undefined) await admin.deleteEntry(newest);
      newest = undefined;
      await svidsWithin(socket, 1, 1);
    },
    async timed() {
      count += 1;
      newest = (await admin.createEntry(entryOf(`new-${count}`, mine))).id;
      await svidsWithin(socket, 2);
    },
  };
}

async function restarted(mesh: BenchMesh, options: AgentBenchOptions): Promise<Sample> {
  const { workloads, profile } = options;
  const beganMs = performance.now();
  const agent = await mesh.startAgent(profile);
  const listeningMs = performance.now();
  const connections = Array.from({ length: workloads }, () => svidsWithin(mesh.socket, 1));
  const tries = await Promise.all(connections);
  const servedMs = performance.now();
  await untilHeld(mesh, workloads);
  const endedMs = performance.now();
  const figures = {
    stormMs: endedMs - listeningMs,
    servedMs: servedMs - listeningMs,
    startMs: listeningMs - beganMs,
    tryCount: tries.reduce((sum, count) => sum + count, 0) - workloads,
    cpuMicrosPerOperation: processCpuMicros(agent.pid) / workloads,
    rssMiB: residentMiB(agent.pid) ?? 0,
  };
  await agent.close();
  return { row: `agent: restarted, ${workloads} SVIDs anew`, figures };
}

/** Resolves once the agent holds so many SVIDs, whoever they are for. */
async function untilHeld({ operators }: BenchMesh, count: number): Promise<void> {
  const end = systemClock.monotonicMs() + svidsMsMax;
  while ((await operators.status()).svidCount < count) {
    if (systemClock.monotonicMs() > end) throw new BenchError('bench_answer', `no ${count} SVIDs`);
    await sleep(heldPollMs);
  }
}

/**
 * Resolves with how often it asked, when a new connection has been told of at least `least` SVIDs, and of
 * `most`. While the agent starts it comes back, as clients do.
 */
async function svidsWithin(
  socket: string,
  least: number,
  most = Number.POSITIVE_INFINITY,
): Promise<number> {
  const end = systemClock.monotonicMs() + svidsMsMax;
  for (let tries = 1; ; tries += 1) {
    const failed = await svidsOnce(socket, least, most);
    if (failed === undefined) return tries;
    // The second: more connect at once than its backlog takes.
    const isOfMoment =
      failed.message.startsWith(`status ${unavailable}:`) || failed.message.includes('EAGAIN');
    if (!isOfMoment || systemClock.monotonicMs() > end) {
      throw new BenchError('bench_answer', `no ${least} SVIDs: ${failed.message}`);
    }
    await sleep(againMs);
  }
}

function svidsOnce(socket: string, least: number, most: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const stream = openUnixStream({
      socket,
      path: SpiffeWorkloadAPIService.fetchX509Svid.path,
      headers: { 'workload.spiffe.io': 'true' },
      onMessage(message, answered) {
        const count = fieldsOf(message, svidsField).length;
        if (count < least || count > most) return;
        answered.close();
        resolve(undefined);
      },
      onFailure(error) {
        stream.close();
        resolve(error);
      },
    });
    stream.send(new Uint8Array());
    stream.finish();
  });
}

async function idling(program: ChildProgram, quiet: number): Promise<Sample> {
  await sleep(quiet * 1000);
  const before = processCpuMicros(program.pid);
  await sleep(quiet * 1000);
  const cpuMicros = processCpuMicros(program.pid) - before;
  return {
    row: 'agent: idle',
    figures: {
      rssMiB: residentMiB(program.pid) ?? 0,
      idleCpuPercent: cpuMicros / 10_000 / quiet,
    },
  };
}

function entryOf(name: string, selector: string): CreateEntry {
  return { spiffeId: `spiffe://mesh.test/${name}`, parentId: poolId, selectors: [selector] };
}

// What this process shows, and therefore all of its connections.
const mine = `unix:uid:${process.getuid?.() ?? 0}`;
const svidsField = 1;
const svidsMsMax = 120_000;
// As soon as clients come back after a failure.
const againMs = 250;
const heldPollMs = 20;
const unavailable = 14;

const columns: readonly [Column, ...Column[]] = [
  { figure: 'p99Ms', title: 'p99 ms', digits: 1 },
  { figure: 'p50Ms', title: 'p50 ms', digits: 1 },
  { figure: 'stormMs', title: 'all ms', digits: 0 },
  { figure: 'servedMs', title: 'all served ms', digits: 0 },
  { figure: 'tryCount', title: 'tried again', digits: 0 },
  { figure: 'startMs', title: 'start ms', digits: 0 },
  { figure: 'cpuMicrosPerOperation', title: 'CPU µs each', digits: 0 },
  { figure: 'rssMiB', title: 'RSS MiB', digits: 0 },
  { figure: 'idleCpuPercent', title: 'idle CPU %', digits: 2 },
];
