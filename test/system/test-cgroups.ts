/** Cgroups that a test makes at the root of the unified hierarchy and takes away again, where it may. */

import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eventually } from '../fakes/eventually.ts';

export class TestCgroups {
  readonly #root: string;
  readonly #made: string[] = [];

  /** Undefined, and said so, on a machine where none can be made. */
  static open(): TestCgroups | undefined {
    const mount = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , fileSystem]) => fileSystem === 'cgroup2');
    const cgroups = new TestCgroups(mount?.[1] ?? '');
    try {
      rmdirSync(cgroups.make(`/signet-probe-${process.pid}`));
      cgroups.#made.length = 0;
      return cgroups;
    } catch (error) {
      process.stderr.write(`SKIPPED: no cgroups can be made here: ${String(error)}\n`);
      return undefined;
    }
  }

  private constructor(root: string) {
    this.#root = root;
  }

  /** The directory of the cgroup at `path`. */
  make(path: string): string {
    const directory = join(this.#root, path);
    mkdirSync(directory, { recursive: true });
    this.#made.push(directory);
    return directory;
  }

  /** Once no process is in them any more. Those above stay as long as others use them. */
  async removeAll(): Promise<void> {
    for (const directory of this.#made.splice(0).toReversed()) {
      // Made twice, or removed with what is below it.
      if (!existsSync(directory)) continue;
      await eventually(() => rmdirSync(directory));
      for (let above = dirname(directory); above !== this.#root; above = dirname(above)) {
        if (!removed(above)) break;
      }
    }
  }
}

function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false;
    throw error;
  }
}
