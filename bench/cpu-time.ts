/** The CPU time a process has used: the fair figure on a machine that does other things too. */

import { readdirSync, readFileSync } from 'node:fs';
import { systemErrorCode } from '../core/index.ts';
import { BenchError } from './bench-error.ts';

/**
 * User and system time of all threads of a process, in microseconds. Read from `schedstat` where the
 * kernel keeps it, to the nanosecond; else from `stat`, in ticks of 10 ms.
 */
export function processCpuMicros(pid: number): number {
  const times = readdirSync(`/proc/${pid}/task`).map((thread) =>
    readIfThere(`/proc/${pid}/task/${thread}/schedstat`),
  );
  const known = times.filter((text) => text !== undefined);
  if (known.length > 0) return known.reduce((sum, text) => sum + schedstatMicros(text), 0);
  return statMicros(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** The same of one thread; the first thread of a process has the process's number. */
export function threadCpuMicros(pid: number, thread: number): number {
  const text = readIfThere(`/proc/${pid}/task/${thread}/schedstat`);
  return text === undefined ? 0 : schedstatMicros(text);
}

/** The resident memory of a process in MiB, or undefined where it is not told. */
export function residentMiB(pid: number): number | undefined {
  return statusMiB(pid, /^VmRSS:\s+(\d+) kB$/m);
}

/** The most that a process has had resident so far, in MiB. */
export function peakMiB(pid: number): number | undefined {
  return statusMiB(pid, /^VmHWM:\s+(\d+) kB$/m);
}

function statusMiB(pid: number, line: RegExp): number | undefined {
  const kib = line.exec(readIfThere(`/proc/${pid}/status`) ?? '')?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

/** `time on the CPU, time waiting for it, slices`, the times in nanoseconds. */
export function schedstatMicros(text: string): number {
  const nanos = /^(\d+) \d+ \d+\s*$/.exec(text)?.[1];
  if (nanos === undefined) throw new BenchError('bench_output', `schedstat reads ${text}`);
  return Number(nanos) / 1000;
}

/** Fields 14 and 15 of proc_pid_stat(5). The name in field 2 may hold blanks and brackets. */
export function statMicros(text: string): number {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) throw new BenchError('bench_output', `stat reads ${text}`);
  return (ticks / ticksPerSecond) * 1e6;
}

// A thread may end between the listing and the reading.
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

// USER_HZ is 100 on every Linux that Node.js runs on.
const ticksPerSecond = 100;
