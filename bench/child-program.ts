/** A program that is measured, or helps to measure: started, watched and ended. */

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Closable, systemClock } from '../core/index.ts';
import { BenchError } from './bench-error.ts';

export interface ChildProgram extends Closable {
  readonly name: string;
  readonly pid: number;
  /** What it said last. */
  lastWords(): string;
  /** Throws {@link BenchError} with the end of its log if it runs no more. */
  check(): void;
}

export interface ChildProgramOptions {
  readonly name: string;
  /** The log goes there, as `<name>.log`. */
  readonly directory: string;
  /** The program and its arguments, `taskset` before it or not. */
  readonly command: readonly string[];
}

export function startProgram(options: ChildProgramOptions): ChildProgram {
  const { name, directory, command } = options;
  const logPath = join(directory, `${name}.log`);
  const log = openSync(logPath, 'a', 0o600);
  const [executable = '', ...args] = command;
  const child = spawn(executable, args, { cwd: directory, stdio: ['ignore', log, log] });
  closeSync(log);
  let ended: string | undefined;
  const exit = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      ended = signal ?? `exit code ${code}`;
      resolve();
    });
    child.once('error', (error) => {
      ended = error.message;
      resolve();
    });
  });
  const lastWords = (): string => readFileSync(logPath, 'utf8').slice(-logCharactersShown).trim();
  return {
    name,
    pid: child.pid ?? -1,
    lastWords,
    check() {
      if (ended === undefined) return;
      throw new BenchError('bench_process', `${name} ended with ${ended}: ${lastWords()}`);
    },
    async close() {
      if (ended !== undefined) return;
      child.kill('SIGTERM');
      const forced = systemClock.after(drainMsMax, () => child.kill('SIGKILL'));
      await exit;
      forced.cancel();
    },
  };
}

/** Asks `probe` until it answers; a throw counts as "not yet". Throws {@link BenchError} when the program ends or time is up. */
export async function untilReady<T>(
  program: ChildProgram,
  probe: () => Promise<T | undefined>,
): Promise<T> {
  const end = systemClock.monotonicMs() + readyMsMax;
  let last: unknown;
  while (systemClock.monotonicMs() < end) {
    program.check();
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    // Not core's sleep, whose timer would let this process end when its child has.
    await sleep(pollMs);
  }
  const reason = `${program.name} is not ready after ${readyMsMax} ms: ${program.lastWords()}`;
  throw new BenchError('bench_process', reason, { cause: last });
}

const pollMs = 30;
// A cold start of Node.js takes a second; several at once on a machine that is busy ten times over, a minute.
const readyMsMax = 120_000;
// Longer than the drain of our own programs.
const drainMsMax = 15_000;
const logCharactersShown = 600;
