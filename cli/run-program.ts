/** Runs one of the long-lived programs: config, start, wait for a signal, drain. */

import { isMap, parseDocument } from 'yaml';
import { type Closable, ConfigError, describeError, readText } from '../core/index.ts';
import type { ProgramContext } from './program-context.ts';

/** Settings given as flags or `SIGNET_*` variables, by config path; they override the file. */
export type Overrides = readonly (readonly [path: readonly string[], value: string | undefined])[];

/** The text of a config file with overrides written into it; without a file, the overrides alone. */
export async function configText(
  path: string | undefined,
  overrides: Overrides,
): Promise<{ readonly text: string; readonly name: string }> {
  const text = path === undefined ? '' : await readText(path);
  const given = overrides.filter(([, value]) => value !== undefined);
  const name = path ?? 'flags';
  if (given.length === 0) return { text, name };
  const document = parseDocument(text);
  // A faulty file goes on as it is, so that its own faults are what the user reads.
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) {
    return { text, name };
  }
  for (const [keys, value] of given) document.setIn([...keys], value);
  return { text: document.toString(), name };
}

/**
 * Waits for the signal to stop, then drains. A drain that hangs is cut short, loudly. A program that cannot go
 * on resolves `failed`: it drains too, and its error is thrown.
 */
export async function runUntilStopped(
  running: Closable,
  context: ProgramContext,
  failed?: Promise<Error>,
): Promise<void> {
  let failure: Error | undefined;
  await new Promise<void>((resolve) => {
    void failed?.then((error) => {
      failure = error;
      resolve();
    });
    if (context.stopped.aborted) resolve();
    else context.stopped.addEventListener('abort', () => resolve(), { once: true });
    // Timers of ours do not keep a process alive; this one says that it is meant to live.
    const alive = setInterval(() => {}, 60_000);
    context.stopped.addEventListener('abort', () => clearInterval(alive), { once: true });
    void failed?.then(() => clearInterval(alive));
  });
  const forced = setTimeout(() => {
    process.stderr.write('signet: the drain took too long, ending now\n');
    process.exit(1);
  }, drainMsMax);
  forced.unref();
  await running.close();
  clearTimeout(forced);
  if (failure !== undefined) throw failure;
}

/** An error the way every command prints it: one line, named `signet:`; one for each fault of a config file. */
export function formatFailure(error: unknown): string {
  const lines = error instanceof ConfigError ? error.message.split('\n') : [describeError(error)];
  return lines.map((line) => `signet: ${line}\n`).join('');
}

// Longer than every program's own bound for its drain.
const drainMsMax = 60_000;
