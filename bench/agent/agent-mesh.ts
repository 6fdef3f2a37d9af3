/** What the benchmark of agents needs of a mesh: a CA with an agent on one node, as programs, ours or another's. */

import type { ChildProgram } from '../child-program.ts';

export interface AgentMesh {
  /** What its rows begin with. */
  readonly name: string;
  /** Compiled beforehand: it is as fast at once as it will ever be. */
  readonly isCompiled: boolean;
  /** Where the agent's Workload API is, while there is an agent. */
  readonly socket: string;
  /** The gRPC statuses with which its agent sends workloads away while it starts. */
  readonly startingStatuses: readonly number[];
  /** Starts an agent on a node that has never been, which every entry is for; resolves once it answers. */
  startAgent(profile?: string): Promise<ChildProgram>;
  /** Resolves with the entry's id. */
  createEntry(entry: MeshEntry): Promise<string>;
  deleteEntry(id: string): Promise<void>;
  importEntries(entries: readonly MeshEntry[]): Promise<void>;
  /** How many SVIDs the agent holds, whoever they are for. */
  svidCount(): Promise<number>;
}

export interface MeshEntry {
  /** The last segment of its SPIFFE ID. */
  readonly name: string;
  readonly selector: string;
}

/** An entry that this process fits, and each that it starts. */
export function entryOfMine(name: string): MeshEntry {
  return { name, selector: `unix:uid:${process.getuid?.() ?? 0}` };
}

/** So many entries that no process here fits. */
export function entriesOfOthers(count: number): readonly MeshEntry[] {
  return Array.from({ length: count }, (_, at) => ({
    name: `other-${at}`,
    selector: 'unix:user:nobody-here',
  }));
}

// Of gRPC.
export const permissionDenied = 7;
export const unavailable = 14;

export const meshDomain = 'mesh.test';
/** The parent of entries that every agent of a mesh has. */
export const poolId = `spiffe://${meshDomain}/pool`;

export function meshIdOf(entry: MeshEntry): string {
  return `spiffe://${meshDomain}/${entry.name}`;
}
