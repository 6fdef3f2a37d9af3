/** What a restart of an agent with thousands of workloads takes, all of which come back at once. */

import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import type { AgentMesh } from './agent-mesh.ts';
import { svidsMsMax, svidsWithin } from './first-svid.ts';

/** Of a mesh whose node has so many entries, one of which fits this process. */
export function restarting(
  mesh: AgentMesh,
  workloads: number,
  profile: string | undefined,
): Candidate {
  const row = `${mesh.name}: restarted, ${workloads} SVIDs anew`;
  return {
    name: row,
    warmsUp: false,
    async measure() {
      const beganMs = performance.now();
      const agent = await mesh.startAgent(profile);
      const listeningMs = performance.now();
      const connections = Array.from({ length: workloads }, () =>
        svidsWithin(mesh.socket, 1, undefined, mesh.startingStatuses),
      );
      const tries = await Promise.all(connections);
      const servedMs = performance.now();
      await untilHeld(mesh, workloads);
      const endedMs = performance.now();
      const figures = {
        stormMs: endedMs - listeningMs,
        servedMs: servedMs - listeningMs,
        startMs: listeningMs - beganMs,
        wholeMs: endedMs - beganMs,
        tryCount: tries.reduce((sum, count) => sum + count, 0) - workloads,
        cpuMicrosPerOperation: processCpuMicros(agent.pid) / workloads,
        rssMiB: residentMiB(agent.pid) ?? 0,
      };
      await agent.close();
      return [{ row, figures }];
    },
  };
}

/** Resolves once the agent holds so many SVIDs, whoever they are for. */
export async function untilHeld(mesh: AgentMesh, count: number): Promise<void> {
  const end = systemClock.monotonicMs() + svidsMsMax;
  while ((await mesh.svidCount()) < count) {
    if (systemClock.monotonicMs() > end) throw new BenchError('bench_answer', `no ${count} SVIDs`);
    await sleep(heldPollMs);
  }
}

const heldPollMs = 20;
