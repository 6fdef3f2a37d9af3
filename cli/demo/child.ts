/** A program of the demo as a separate process, its output in a log file. */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Undefined while it runs; then how it ended. */
  ended(): string | undefined;
  /** The last line of its log, if there is one. */
  lastWords(): string | undefined;
  /** Ends it with `signal` and waits; one that has not ended by then is killed. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  readonly process: ChildProcess;
}

export interface ChildOptions {
  readonly name: string;
  readonly directory: string;
  /** The executable; by default the Node.js that runs the demo. */
  readonly executable?: string;
  readonly script: string;
  readonly args: readonly string[];
  /** Keeps standard input and output for an exchange with the demo. */
  readonly talks?: boolean;
}

export const sourceRoot = resolve(import.meta.dirname, '../..');

/** Starts a child. All it writes goes below `directory`, its temporary files included. */
export function startChild(options: ChildOptions): Child {
  const logFile = join(options.directory, 'logs', `${options.name}.log`);
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(options.executable ?? process.execPath, [options.script, ...options.args], {
    cwd: options.directory,
    env: {
      PATH: process.env['PATH'],
      HOME: options.directory,
      TMPDIR: join(options.directory, 'tmp'),
    },
    stdio: options.talks === true ? ['pipe', 'pipe', log] : ['ignore', log, log],
  });
  closeSync(log);
  let ended: string | undefined;
  const exit = new Promise<void>((resolveExit) => {
    child.once('exit', (code, signal) => {
      ended = signal ?? `exit code ${code}`;
      resolveExit();
    });
    child.once('error', (error) => {
      ended = error.message;
      resolveExit();
    });
  });
  return {
    name: options.name,
    pid: child.pid ?? -1,
    process: child,
    ended: () => ended,
    lastWords: () => readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1) || undefined,
    async stop(signal) {
      if (ended === undefined) child.kill(signal);
      const forced = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
      await exit;
      clearTimeout(forced);
    },
  };
}

// Longer than a drain of the demo's small traffic takes.
const stopMsMax = 20_000;
