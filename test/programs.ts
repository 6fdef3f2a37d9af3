/** Programs of the machine that tests need: nobody here wrote them, and a bare machine has not all of them. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The program's path, by the PATH of this process, or undefined. */
export function findProgram(name: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter).filter((each) => each !== '');
  return directories.map((each) => join(each, name)).find(isExecutable);
}

/**
 * For `test.skipIf`: whether the program is missing, which is said loudly. With `CI=true` the run then fails, as
 * it does for every test that is skipped (`test/reporters/closing-line.ts`).
 */
export function lacks(name: string): boolean {
  if (findProgram(name) !== undefined) return false;
  if (!told.has(name))
    console.warn(`SKIPPED: ${name} is not on the PATH; install it to run what needs it`);
  told.add(name);
  return true;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const told = new Set<string>();
