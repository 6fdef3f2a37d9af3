/** Which cores a measurement uses: the program under test has one of its own where there are two. */

import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { findTool } from './tool.ts';

export interface Placement {
  /** What to put before a command line. */
  readonly underTest: readonly string[];
  readonly others: readonly string[];
  /** For what is measured on all cores at once. */
  readonly everywhere: readonly string[];
  /** For the reader of the figures. */
  readonly description: string;
}

/** Where programs go. Without `taskset` or a second core they go anywhere, and the description says so. */
export function choosePlacement(): Placement {
  const taskset = findTool('taskset');
  const cores = availableParallelism();
  // A container may be given cores of any number; then the two below cannot be had.
  const works =
    taskset !== undefined &&
    cores >= 2 &&
    spawnSync(taskset, ['-c', `0,${testCore}`, process.execPath, '--version']).status === 0;
  if (!works) {
    const why = taskset === undefined ? 'no taskset' : 'cores 0 and 1 cannot be had';
    return { underTest: [], others: [], everywhere: [], description: `nothing is pinned (${why})` };
  }
  const rest = cores === 2 ? '0' : `0,2-${cores - 1}`;
  return {
    underTest: [taskset, '-c', String(testCore)],
    others: [taskset, '-c', rest],
    everywhere: [taskset, '-c', `0-${cores - 1}`],
    description: `under test on core ${testCore}, everything else on ${rest}`,
  };
}

/** Moves this process, its later children included, to the cores of `others`. */
export function placeSelf(placement: Placement): void {
  const [taskset, , cores] = placement.others;
  if (taskset === undefined || cores === undefined) return;
  // Every thread, or the ones that run crypto and garbage collection would stay behind.
  spawnSync(taskset, ['-a', '-c', '-p', cores, String(process.pid)]);
}

const testCore = 1;
