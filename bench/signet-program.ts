/** How a benchmark runs the project's own programs: from their sources, by the `signet` command. */

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The command line that runs a program with a config file; `flags` are for Node.js. */
export function signetCommand(
  program: 'ca' | 'proxy',
  config: string,
  flags: readonly string[] = [],
): readonly string[] {
  return [process.execPath, ...flags, signetScript, program, 'run', '--config', config];
}

/** Writes a program's config file and answers its path. */
export function writeConfig(directory: string, name: string, config: unknown): string {
  const path = join(directory, `${name}.yaml`);
  // JSON is YAML, and needs no escaping of ours.
  writeFileSync(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  return path;
}

const signetScript = resolve(import.meta.dirname, '../cli/signet.ts');
