/** Our CA and agent, as the benchmark of agents needs them. */

import type { Scope } from '../../core/index.ts';
import type { Placement } from '../placement.ts';
import { type AgentMesh, type MeshEntry, meshIdOf, poolId, unavailable } from './agent-mesh.ts';
import { startBenchMesh } from './bench-mesh.ts';

export async function startSignetMesh(
  directory: string,
  placement: Placement,
  scope: Scope,
): Promise<AgentMesh> {
  const mesh = await startBenchMesh(directory, placement, scope);
  const { admin, operators, socket } = mesh;
  const asked = (entry: MeshEntry) => ({
    spiffeId: meshIdOf(entry),
    parentId: poolId,
    selectors: [entry.selector],
  });
  return {
    name: 'agent',
    isCompiled: false,
    startingStatuses: [unavailable],
    socket,
    startAgent: (profile) => mesh.startAgent(profile),
    createEntry: async (entry) => (await admin.createEntry(asked(entry))).id,
    async deleteEntry(id) {
      await admin.deleteEntry(id);
    },
    async importEntries(entries) {
      await admin.importEntries({ entries: entries.map(asked) });
    },
    svidCount: async () => (await operators.status()).svidCount,
  };
}
