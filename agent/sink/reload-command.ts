/** Runs the command that tells an application of new files: no shell, bounded in time and in what it may say. */

import { spawn } from 'node:child_process';
import { type Clock, type Logger, systemErrorCode } from '../../core/index.ts';
import { SinkError } from './sink-error.ts';

export interface ReloadCommand {
  /** The program and its arguments. */
  readonly argv: readonly string[];
  readonly deadlineMs: number;
}

/** Resolves when it has ended with 0. Rejects with {@link SinkError}; a command that takes too long is killed. */
export function runReload(
  command: ReloadCommand,
  deps: { readonly clock: Clock; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const [program = '', ...args] = command.argv;
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void =>
      reject(new SinkError('sink_reload', 'unavailable', `${program}: ${reason}`));
    if (signal.aborted) {
      fail('the sink is closing');
      return;
    }
    // A group of its own, so that what it started ends with it. It gets nothing of our environment's secrets.
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: environment,
    });
    let output = '';
    let why: string | undefined;
    const hear = (chunk: Buffer): void => {
      if (output.length < outputMax)
        output += chunk.toString('utf8').slice(0, outputMax - output.length);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const kill = (reason: string) => (): void => {
      why = reason;
      killGroup(child.pid);
    };
    const stop = kill('the sink is closing');
    const timer = deps.clock.after(
      command.deadlineMs,
      kill(`it did not end in ${command.deadlineMs} ms and was killed`),
    );
    signal.addEventListener('abort', stop, { once: true });
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', stop);
    };
    child.once('error', (error) => {
      end();
      fail(error.message);
    });
    // Not `close`: a grandchild that keeps the pipe open must not make us wait.
    child.once('exit', (code, by) => {
      end();
      child.stdout.destroy();
      child.stderr.destroy();
      if (output !== '') deps.log.info('the reload command said', { program, output });
      if (code === 0 && why === undefined) resolve();
      else fail(why ?? (by === null ? `it ended with ${code}` : `it was ended by ${by}`));
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // It may have ended meanwhile.
    if (systemErrorCode(error) !== 'ESRCH') throw error;
  }
}

// Ours may hold a join token.
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
// A few lines for whoever reads the log; a command that prints a file must not fill it.
const outputMax = 2048;
