/** How a benchmark runs the project's own programs: from their sources, by the `signet` command. */

import { execFileSync } from 'node:child_process';
import { copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The command line that runs a program with a config file; `flags` are for Node.js. */
export function signetCommand(
  program: 'ca' | 'agent' | 'proxy',
  config: string,
  flags: readonly string[] = [],
  script: string = signetScript,
): readonly string[] {
  return [process.execPath, ...flags, script, program, 'run', '--config', config];
}

/**
 * Builds the project into `directory`, as its package is built but unchecked, and answers the `signet` there. What
 * is shipped is JavaScript: a program run from its sources holds Node.js's stripper of types besides, some 30 MiB.
 */
export function buildSignet(directory: string): string {
  const compiler = join(projectRoot, 'node_modules/typescript/bin/tsc');
  const project = join(projectRoot, 'tsconfig.build.json');
  const flags = [
    '--project',
    project,
    '--outDir',
    directory,
    '--noCheck',
    '--declaration',
    'false',
  ];
  execFileSync(process.execPath, [compiler, ...flags], { stdio: ['ignore', 'inherit', 'inherit'] });
  copyFileSync(join(projectRoot, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(projectRoot, 'node_modules'), join(directory, 'node_modules'));
  return join(directory, 'cli/signet.js');
}

/** Writes a program's config file and answers its path. */
export function writeConfig(directory: string, name: string, config: unknown): string {
  const path = join(directory, `${name}.yaml`);
  // JSON is YAML, and needs no escaping of ours.
  writeFileSync(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  return path;
}

const projectRoot = resolve(import.meta.dirname, '..');
const signetScript = join(projectRoot, 'cli/signet.ts');
