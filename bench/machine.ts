/** The machine a measurement was made on: without it no figure means anything. */

import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { resolve } from 'node:path';
import { findTool, outputOf } from './tool.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** The OpenSSL inside Node.js. */
  readonly nodeOpenssl: string;
  /** The system's OpenSSL, which `openssl speed` and nginx use. */
  readonly openssl: string | undefined;
  readonly nginx: string | undefined;
  readonly wrk: string | undefined;
  /** Over 1, 5 and 15 minutes, as the measurement began. */
  readonly loadAverage: readonly number[];
  /** The commit that was measured, `+` after it if files have changed since. */
  readonly commit: string | undefined;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()} ${arch()}`,
    node: process.versions.node,
    nodeOpenssl: process.versions.openssl,
    openssl: versionOf('openssl', ['version'], /OpenSSL (\S+)/),
    nginx: versionOf('nginx', ['-v'], /nginx\/(\S+)/),
    wrk: versionOf('wrk', ['-v'], /^wrk (\S+)/),
    loadAverage: loadAverage(),
    commit: commit(),
  };
}

/** Over 1, 5 and 15 minutes. What else ran meanwhile is the first thing to know about a figure. */
export function loadAverage(): readonly number[] {
  return loadavg().map((load) => Math.round(load * 100) / 100);
}

/** A few lines for a reader. */
export function formatMachine(machine: Machine): string {
  const absent = 'not here';
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}`,
    `Node.js ${machine.node} (OpenSSL ${machine.nodeOpenssl}); system OpenSSL ${machine.openssl ?? absent}, nginx ${machine.nginx ?? absent}, wrk ${machine.wrk ?? absent}`,
    `load average ${machine.loadAverage.join(' ')} at the start; commit ${machine.commit ?? 'unknown'}`,
  ].join('\n');
}

function versionOf(name: string, args: readonly string[], pattern: RegExp): string | undefined {
  const path = findTool(name);
  if (path === undefined) return undefined;
  return pattern.exec(outputOf(path, args) ?? '')?.[1] ?? 'of an unknown version';
}

function commit(): string | undefined {
  const git = findTool('git');
  if (git === undefined) return undefined;
  const root = resolve(import.meta.dirname, '..');
  const hash = outputOf(git, ['-C', root, 'rev-parse', '--short', 'HEAD'])?.trim() ?? '';
  if (!/^[0-9a-f]{7,40}$/.test(hash)) return undefined;
  const changed = outputOf(git, ['-C', root, 'status', '--porcelain', '--untracked-files=no']);
  return changed === '' ? hash : `${hash}+`;
}
