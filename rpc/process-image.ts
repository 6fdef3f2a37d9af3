/**
 * Which program a process runs, as a text that differs after every execve(2): what a pidfd does not say.
 *
 * It is made of the start time, the executable's inode and where the kernel put code and stack (proc(5),
 * `stat` fields 22, 26 and 28), which it chooses anew for each program, also for the same one again.
 */

import { readFileSync, statSync } from 'node:fs';
import { systemErrorCode } from '../core/index.ts';

/**
 * Undefined if the process is gone. Synchronous, because it is read when a connection is accepted, before
 * the process gets time to become another program; these files are in the kernel's memory.
 */
export function readProcessImage(pid: number, procRoot = '/proc'): string | undefined {
  try {
    const fields = imageFieldsOf(readFileSync(`${procRoot}/${pid}/stat`, 'latin1'));
    return fields === undefined ? undefined : `${fields}:${executableOf(pid, procRoot)}`;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Start time, start of code and start of stack out of the text of a `stat` file. */
export function imageFieldsOf(stat: string): string | undefined {
  // The name in parentheses is the process's own choice and may hold anything, parentheses included.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const wanted = [22, 26, 28].map((number) => fields[number - firstFieldNumber]);
  return wanted.every((field) => field !== undefined && /^\d+$/.test(field))
    ? wanted.join(':')
    : undefined;
}

function executableOf(pid: number, procRoot: string): string {
  try {
    const { dev, ino } = statSync(`${procRoot}/${pid}/exe`, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    // Not allowed to look: the other fields are then 0 too, before and after.
    if (isGone(error)) return '';
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return goneCodes.has(systemErrorCode(error) ?? '');
}

const goneCodes: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);
// What follows the name is field 3.
const firstFieldNumber = 3;
