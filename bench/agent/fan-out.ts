/** What many streams of one agent cost: each as it comes, and a change that all of them are told of. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { ChildProgram } from '../child-program.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Candidate, Figures } from '../measurement.ts';
import type { Column } from '../table.ts';
import type { StreamFleet } from './stream-fleet.ts';

export interface ReadyFleet {
  readonly fleet: StreamFleet;
  readonly once: Figures;
}

/** Has the streams come, and measures what they take; once, because memory is not given back. */
export async function setUpFleet(
  program: ChildProgram,
  connect: () => Promise<StreamFleet>,
  streams: number,
): Promise<ReadyFleet> {
  const beforeMiB = residentMiB(program.pid) ?? 0;
  const beforeMicros = processCpuMicros(program.pid);
  const fleet = await connect();
  const cpuMicros = processCpuMicros(program.pid) - beforeMicros;
  const kibPerStream = (): number =>
    (((residentMiB(program.pid) ?? 0) - beforeMiB) * 1024) / streams;
  await sleep(settleMs);
  const kibAtOnce = kibPerStream();
  await sleep(restMs);
  return {
    fleet,
    once: {
      kibPerStream: kibAtOnce,
      kibAtRest: kibPerStream(),
      streamsPerSecond: (streams / fleet.setUpMs) * 1000,
      setUpCpuMicros: cpuMicros / streams,
    },
  };
}

/** `cause` brings about a change that every stream is told of. */
export function fanOut(
  name: string,
  program: ChildProgram,
  { fleet, once }: ReadyFleet,
  cause: () => unknown,
): Candidate {
  return {
    name,
    async measure(seconds) {
      const changes = changesIn(seconds);
      const fanOuts: number[] = [];
      let cpuMicros = 0;
      let streams = 0;
      for (let change = 0; change < changes; change += 1) {
        // What the one before has left behind, acknowledgements above all, is no part of this one.
        await sleep(settleMs);
        const before = processCpuMicros(program.pid);
        const { firstMs, lastMs, delaysMs } = await fleet.pushed(cause);
        await sleep(settleMs);
        cpuMicros += processCpuMicros(program.pid) - before;
        streams += delaysMs.length;
        fanOuts.push(lastMs - firstMs);
      }
      fanOuts.sort((left, right) => left - right);
      const fanOutMs = fanOuts[Math.ceil(fanOuts.length / 2) - 1] ?? 0;
      const figures = {
        fanOutMs,
        cpuMicrosPerStream: cpuMicros / streams,
        rssMiB: residentMiB(program.pid) ?? 0,
        ...once,
      };
      return [{ row: name, figures }];
    },
  };
}

/** How many changes a candidate makes in a round of that length. */
export function changesIn(seconds: number): number {
  return Math.max(1, Math.round(seconds * changesPerSecond));
}

export const fanOutColumns: readonly [Column, ...Column[]] = [
  { figure: 'fanOutMs', title: 'fan-out p50 ms', digits: 0 },
  { figure: 'cpuMicrosPerStream', title: 'CPU µs per stream', digits: 1 },
  { figure: 'kibPerStream', title: 'KiB per stream', digits: 1 },
  { figure: 'kibAtRest', title: 'KiB at rest', digits: 1 },
  { figure: 'streamsPerSecond', title: 'set-up streams/s', digits: 0 },
  { figure: 'setUpCpuMicros', title: 'set-up CPU µs each', digits: 0 },
];

const changesPerSecond = 3;
const settleMs = 300;
// An agent of ours gives back what a crowd took after three quiet seconds.
const restMs = 4500;
