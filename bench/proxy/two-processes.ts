/**
 * Two processes of a proxy on one port beside one process of it, on all cores: what a second core gives. The load and
 * the service behind take their part of the cores, so that on a machine with two the gain is less than the second core.
 */

import { freePorts } from '../../core/index.ts';
import type { Scope } from '../../core/index.ts';
import type { ChildProgram } from '../child-program.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { startEnvoyProcess } from './envoy.ts';
import type { HopSetting, SharedPort } from './hop.ts';
import { runWrk } from './load.ts';
import { startNginxProcess } from './nginx.ts';
import { startSidecarProcess } from './sidecar.ts';

interface ProcessPair {
  readonly name: string;
  /** The first alone has {@link alonePort}. */
  readonly programs: readonly ChildProgram[];
  readonly alonePort: number;
  readonly sharedPort: number;
}

type StartProcess = (port: SharedPort) => Promise<ChildProgram>;

/** Ours, and nginx and Envoy where they are. */
export async function startPairs(
  scope: Scope,
  setting: HopSetting,
  p: {
    readonly sdsSocket: string;
    readonly nginx: string | undefined;
    readonly envoy: string | undefined;
  },
): Promise<readonly ProcessPair[]> {
  const { nginx, envoy } = p;
  const starts: [name: string, start: StartProcess][] = [
    [ours, (port) => startSidecarProcess(scope, setting, p.sdsSocket, port)],
  ];
  if (nginx !== undefined) {
    starts.push(['nginx', (port) => startNginxProcess(scope, nginx, setting, port)]);
  }
  if (envoy !== undefined) {
    starts.push(['envoy', (port) => startEnvoyProcess(scope, envoy, setting, port)]);
  }
  return Promise.all(starts.map(([name, start]) => startPair(name, start)));
}

/** Candidates such as `one process: nginx` and `two processes on a port: nginx`. */
export function pairCandidates(
  p: { readonly placement: Placement; readonly wrk: string; readonly connections: number },
  pairs: readonly ProcessPair[],
): readonly Candidate[] {
  return pairs.flatMap(({ name, programs, alonePort, sharedPort }) =>
    [
      candidate(`one process: ${name}`, p, programs.slice(0, 1), alonePort),
      candidate(`two processes on a port: ${name}`, p, programs, sharedPort),
      // The machine code of the others is there from the start.
    ].map((one) => (name === ours ? one : { ...one, warmsUp: false })),
  );
}

async function startPair(name: string, start: StartProcess): Promise<ProcessPair> {
  const [sharedPort = 0, alonePort = 0] = await freePorts(2);
  const programs = await Promise.all([
    start({ name: `${name}-first`, sharedPort, alonePort }),
    start({ name: `${name}-second`, sharedPort, alonePort: undefined }),
  ]);
  return { name, programs, alonePort, sharedPort };
}

function candidate(
  row: string,
  p: { readonly placement: Placement; readonly wrk: string; readonly connections: number },
  programs: readonly ChildProgram[],
  port: number,
): Candidate {
  const cpuMicrosOfAll = (): number => sum(programs.map(({ pid }) => processCpuMicros(pid)));
  return {
    name: row,
    async measure(seconds) {
      for (const program of programs) program.check();
      const before = cpuMicrosOfAll();
      const result = await runWrk(p.wrk, p.placement.everywhere, {
        port,
        connections: p.connections,
        windowMs: seconds * 1000,
      });
      const cpuMicros = cpuMicrosOfAll() - before;
      const { requests, elapsedMs, p50Ms, p99Ms } = result;
      const figures = {
        cpuMicrosPerRequest: cpuMicros / requests,
        requestsPerSecond: (requests / elapsedMs) * 1000,
        cpuBusyPercent: cpuMicros / elapsedMs / 10,
        p50Ms,
        p99Ms,
        residentMiB: sum(programs.map(({ pid }) => residentMiB(pid) ?? 0)),
      };
      return [{ row, figures }];
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const ours = 'signet';
