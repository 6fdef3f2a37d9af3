/** `bench sds`: a new root to thousands of sidecars of one machine, what each of them costs, and how soon they are there. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Scope } from '../../core/index.ts';
import { poolId } from '../agent/agent-mesh.ts';
import { startBenchMesh } from '../agent/bench-mesh.ts';
import { changesIn, fanOut, fanOutColumns, setUpFleet } from '../agent/fan-out.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { measureInRounds } from '../measurement.ts';
import { choosePlacement, placeSelf } from '../placement.ts';
import { printProfile } from '../profile.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import type { BareSdsOptions } from './bare-sds.ts';
import { connectSdsFleet } from './sds-fleet.ts';

export interface SdsOptions extends BenchOptions {
  readonly streams: number;
  readonly profile: string | undefined;
}

export async function benchSds(options: SdsOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `sds: ${options.streams} streams`, machine);
  const placement = choosePlacement();
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    placeSelf(placement);
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const mesh = await startBenchMesh(directory, placement, scope);
    await mesh.admin.createEntry({
      spiffeId: 'spiffe://mesh.test/sidecar',
      parentId: poolId,
      selectors: [`unix:uid:${process.getuid?.() ?? 0}`],
    });
    const agent = await mesh.startAgent(options.profile);
    // Its first secrets are there, so that what is set up below is streams and nothing else.
    const probe = await connectSdsFleet(mesh.socket, 1);
    await probe.close();
    const { streams } = options;
    const setUp = (program: ChildProgram, socket: string) =>
      setUpFleet(program, () => connectSdsFleet(socket, streams), streams);
    const ours = await setUp(agent, mesh.socket);
    scope.add(ours.fleet);

    const bareSocket = join(directory, 'bare.sock');
    const bare = scope.add(
      await startBare(directory, placement.underTest, {
        socket: bareSocket,
        message: ours.fleet.newest().toString('base64'),
      }),
    );
    const floor = await setUp(bare, bareSocket);
    scope.add(floor.fleet);

    const { admin } = mesh;
    let prepared: string | undefined;
    // In turns a root comes, and goes again unused: each is another bundle for everybody.
    const changeRoots = async (): Promise<void> => {
      if (prepared === undefined) {
        prepared = (await admin.prepareAuthority('root')).id;
        return;
      }
      await admin.abortAuthority(prepared);
      prepared = undefined;
    };
    const candidates = [
      fanOut('grpc-js: the same bytes to all', bare, floor, () => {
        process.kill(bare.pid, 'SIGUSR2');
      }),
      fanOut('agent: other roots to all', agent, ours, changeRoots),
    ].filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(candidates, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    const { seconds, rounds } = options;
    const notes = [
      `${placement.description}; figures are median (least–most) of ${rounds} interleaved rounds of ${changesIn(seconds)} changes each`,
      'fan-out: from the first byte at the first client to the last byte at the last; all clients live in one process, on another core, which reads their messages one after the other: the first row is what that alone takes',
      'every stream has a connection of its own, attested by itself; it asks for ROOTCA and acknowledges what it gets, and the acknowledgements are part of the CPU time',
      'memory: resident with all streams, less that before the first, by their number, as they have come and 4.5 s later; set-up: connections, streams and first secrets, 200 under way at once; both measured once',
    ];
    const result = {
      benchmark: 'sds',
      startedAt,
      machine,
      seconds,
      rounds,
      loadAverageAtEnd: loadAverage(),
      notes,
      rows,
    };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
  if (options.profile !== undefined) printProfile(print, options.profile);
}

async function startBare(
  directory: string,
  placement: readonly string[],
  options: BareSdsOptions,
): Promise<ChildProgram> {
  const file = join(directory, 'bare.json');
  writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
  const command = [...placement, process.execPath, benchScript, 'sds-floor', file];
  const program = startProgram({ name: 'bare', directory, command });
  await untilReady(program, async () => (program.lastWords() === 'ready' ? true : undefined));
  return program;
}

const benchScript = resolve(import.meta.dirname, '../bench.ts');

const columns: readonly [Column, ...Column[]] = [
  ...fanOutColumns,
  { figure: 'rssMiB', title: 'RSS MiB', digits: 0 },
];
