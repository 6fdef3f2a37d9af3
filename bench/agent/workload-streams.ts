/** Workloads that stay: a Workload API stream each, all of which have one more SVID when an entry comes, and one less when it goes. */

import { SpiffeWorkloadAPIService } from '../../api/index.ts';
import type { Scope } from '../../core/index.ts';
import type { ChildProgram } from '../child-program.ts';
import type { Candidate } from '../measurement.ts';
import { type AgentMesh, entryOfMine } from './agent-mesh.ts';
import { fanOut, setUpFleet } from './fan-out.ts';
import { svidsField, workloadHeaders } from './first-svid.ts';
import { connectStreamFleet } from './stream-fleet.ts';
import { fieldsOf } from './unix-stream.ts';

/** The agent has one entry for this process. */
export async function workloadStreams(
  mesh: AgentMesh,
  agent: ChildProgram,
  streams: number,
  scope: Scope,
): Promise<Candidate> {
  let wanted = 1;
  const connect = () =>
    connectStreamFleet({
      socket: mesh.socket,
      size: streams,
      path: SpiffeWorkloadAPIService.fetchX509Svid.path,
      headers: workloadHeaders,
      request: new Uint8Array(),
      isWhole: true,
      isDelivery: (message) => fieldsOf(message, svidsField).length === wanted,
    });
  const ready = await setUpFleet(agent, connect, streams);
  scope.add(ready.fleet);
  let second: string | undefined;
  const change = async (): Promise<void> => {
    if (second === undefined) {
      wanted = 2;
      second = await mesh.createEntry(entryOfMine('second'));
      return;
    }
    wanted = 1;
    await mesh.deleteEntry(second);
    second = undefined;
  };
  scope.onClose(async () => {
    if (second !== undefined) await mesh.deleteEntry(second);
  });
  const row = `${mesh.name}: an SVID more or less to ${streams} streams`;
  const candidate = fanOut(row, agent, ready, change);
  return mesh.isCompiled ? { ...candidate, warmsUp: false } : candidate;
}
