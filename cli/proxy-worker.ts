/** Workers of the proxy as processes: how one is started, and what it does. */

import { fork } from 'node:child_process';
import { z } from 'zod';
import {
  parseProxyConfig,
  startProxy,
  type WorkerProcess,
  workerConfig,
  WorkersError,
} from '../proxy/index.ts';
import { restrainMemory } from '../rpc/index.ts';
import type { ProgramContext } from './program-context.ts';
import { runUntilStopped } from './run-program.ts';

/** Starts this same command as a worker. It is told its config, since the file may have changed since. */
export function forkProxyWorker(text: string, fileName: string): WorkerProcess {
  const script = process.argv[1] ?? '';
  const child = fork(script, ['proxy', 'worker'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send({ text, fileName });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    child.once('error', (error) => resolve(error.message));
  });
  const serving = new Promise<number>((resolve) => {
    child.once('message', (message) => resolve(servingSchema.parse(message).adminPort));
  });
  return {
    pid: child.pid ?? 0,
    started: Promise.race([serving, ended.then(() => undefined)]),
    ended,
    // Not by a signal: one from the terminal may have come already, and a second would cut the drain short.
    stop() {
      if (child.connected) child.disconnect();
    },
  };
}

/** Runs as a worker until whoever started it lets go, or is gone. */
export async function runProxyWorker(context: ProgramContext): Promise<void> {
  if (process.send === undefined) {
    throw new WorkersError('worker_failed', 'a worker is started by the proxy, and not by hand', {
      remedy: 'write workers: 2 into the config of signet proxy run',
    });
  }
  const message = await new Promise<unknown>((resolve) => process.once('message', resolve));
  const { text, fileName } = taskSchema.parse(message);
  const config = workerConfig(parseProxyConfig(text, fileName));
  const log = context.logger('proxy', config.logLevel).with({ worker: process.pid });
  restrainMemory(log);
  const proxy = await startProxy(config, { ...context, log, stdout: process.stdout });
  process.once('disconnect', () => {
    if (!context.stopped.aborted) process.kill(process.pid, 'SIGTERM');
  });
  process.send({ adminPort: proxy.adminPort });
  await runUntilStopped(proxy, context);
  if (process.connected) process.disconnect?.();
}

const taskSchema = z.strictObject({ text: z.string(), fileName: z.string() });
const servingSchema = z.strictObject({ adminPort: z.number() });
