/** The cgroups of a process as its attestors read them: once to attest, and again to see whether it moved. */

import { AgentError } from '../agent-error.ts';
import { type ContainerCgroup, containerOfCgroups } from './container-cgroup.ts';
import { readCgroupFile, readMountinfo } from './proc.ts';

export interface ProcessCgroups {
  /** The text of `/proc/<pid>/cgroup`. */
  readonly text: string;
  /** False once the process is elsewhere. */
  readonly holds: () => Promise<boolean>;
}

/** Throws {@link AgentError} if the process cannot be looked at. */
export function readProcessCgroups(procRoot: string, pid: number): ProcessCgroups {
  const text = readCgroupFile(procRoot, pid);
  if (text === undefined) {
    throw new AgentError('caller_unknown', 'unavailable', `process ${pid} cannot be looked at`, {
      remedy: 'run the agent in the host pid namespace, with the right to read /proc',
    });
  }
  return { text, holds: async () => readCgroupFile(procRoot, pid) === text };
}

/**
 * The container of a process, or undefined. Throws {@link AgentError} if its cgroups give no one answer.
 * `mountinfo` is read only where `useMountinfo` says so: a process has a say in what stands there.
 */
export async function containerOfProcess(
  cgroups: ProcessCgroups,
  procRoot: string,
  pid: number,
  useMountinfo: boolean,
): Promise<Extract<ContainerCgroup, { kind: 'container' }> | undefined> {
  const mountinfo = useMountinfo ? await readMountinfo(procRoot, pid) : undefined;
  const found = containerOfCgroups(cgroups.text, mountinfo);
  if (found.kind === 'refused') {
    throw new AgentError('workload_ambiguous', 'unavailable', `process ${pid}: ${found.detail}`);
  }
  return found.kind === 'container' ? found : undefined;
}
