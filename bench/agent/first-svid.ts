/** How soon a workload has its identity, on a new connection or of a new entry. */

import { setTimeout as sleep } from 'node:timers/promises';
import { SpiffeWorkloadAPIService } from '../../api/index.ts';
import { systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import type { ChildProgram } from '../child-program.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import { type AgentMesh, entryOfMine, unavailable } from './agent-mesh.ts';
import { fieldsOf, openUnixStream } from './unix-stream.ts';

export function onNewConnections({ name, socket }: AgentMesh, agent: ChildProgram): Candidate {
  return timing(`${name}: first SVID on a new connection`, agent, {
    prepare: async () => {},
    timed: () => svidsWithin(socket, 1),
  });
}

/** One new entry after another, each gone before the next comes: an answer has two identities at most. */
export function ofNewEntries(mesh: AgentMesh, agent: ChildProgram): Candidate {
  let count = 0;
  let newest: string | undefined;
  const candidate = timing(`${mesh.name}: SVID of a new entry, from the CA`, agent, {
    async prepare() {
      if (newest !== undefined) await mesh.deleteEntry(newest);
      newest = undefined;
      await svidsWithin(mesh.socket, 1, 1);
    },
    async timed() {
      count += 1;
      newest = await mesh.createEntry(entryOfMine(`new-${count}`));
      await svidsWithin(mesh.socket, 2);
    },
  });
  return mesh.isCompiled ? { ...candidate, warmsUp: false } : candidate;
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
      const figures = {
        ...quantilesOf(delays),
        cpuMicrosPerOperation: cpuMicros / delays.length,
        rssMiB: residentMiB(program.pid) ?? 0,
      };
      return [{ row: name, figures }];
    },
  };
}

export function quantilesOf(delaysMs: readonly number[]) {
  const sorted = delaysMs.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
  return { p99Ms: at(0.99), p50Ms: at(0.5) };
}

/**
 * Resolves with how often it asked, when a new connection has been told of at least `least` SVIDs, and of
 * `most`. While the agent starts it comes back, as clients do.
 */
export async function svidsWithin(
  socket: string,
  least: number,
  most = Number.POSITIVE_INFINITY,
  startingStatuses: readonly number[] = [unavailable],
): Promise<number> {
  const end = systemClock.monotonicMs() + svidsMsMax;
  for (let tries = 1; ; tries += 1) {
    const failed = await svidsOnce(socket, least, most);
    if (failed === undefined) return tries;
    // The second: more connect at once than its backlog takes.
    const isOfMoment =
      startingStatuses.some((status) => failed.message.startsWith(`status ${status}:`)) ||
      failed.message.includes('EAGAIN');
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
      headers: workloadHeaders,
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

/** The header without which a Workload API answers nothing. */
export const workloadHeaders = { 'workload.spiffe.io': 'true' };
/** X509SVIDResponse.svids. */
export const svidsField = 1;
/** For how long an answer with SVIDs is waited for. */
export const svidsMsMax = 120_000;
// As soon as clients come back after a failure.
const againMs = 250;
