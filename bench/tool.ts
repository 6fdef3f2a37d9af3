/** Programs of the machine that stand beside ours in a table, where they are there. */

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program, or undefined. Looks where administrators' programs are, too. */
export function findTool(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders, '/usr/local/sbin', '/usr/sbin', '/sbin']
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** All that a program prints, or undefined if it cannot be run. Its exit code does not count: some print a version and fail. */
export function outputOf(path: string, args: readonly string[]): string | undefined {
  const run = spawnSync(path, args, { encoding: 'utf8', timeout: timeoutMs });
  return run.error === undefined ? `${run.stdout}${run.stderr}` : undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Any reason that it cannot be run makes it as good as absent.
    return false;
  }
}

// A program that tells its version answers at once; one that does not is left out.
const timeoutMs = 5000;
