/** A network of its own for one test, with addresses and NAT that touch nothing else. Only for the superuser. */

import { execFileSync, spawnSync } from 'node:child_process';
import { lacks } from '../programs.ts';

export interface NetworkNamespace {
  /** What stands before a command that is to run inside. */
  readonly enter: readonly string[];
  run(command: readonly string[]): string;
  delete(): void;
}

/** For `test.skipIf`: whether there can be none here, which is said loudly. */
export function lacksNetworkNamespaces(): boolean {
  if (lacks('ip') || lacks('iptables') || lacks('setpriv')) return true;
  const name = `signet-probe-${process.pid}`;
  const added = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  const probe = spawnSync('ip', ['netns', 'exec', name, 'iptables', '-t', 'nat', '-L', '-n'], {
    encoding: 'utf8',
  });
  spawnSync('ip', ['netns', 'del', name]);
  if (added.status === 0 && probe.status === 0) return false;
  const reason = `${added.stderr}${probe.stderr}`.trim();
  console.warn(`SKIPPED: no network namespace with NAT can be made here: ${reason}`);
  return true;
}

export function createNetworkNamespace(name: string): NetworkNamespace {
  execFileSync('ip', ['netns', 'add', name]);
  const enter = ['ip', 'netns', 'exec', name];
  return {
    enter,
    run(command) {
      const [program = '', ...args] = [...enter, ...command];
      return execFileSync(program, args, { encoding: 'utf8' });
    },
    delete() {
      execFileSync('ip', ['netns', 'del', name]);
    },
  };
}
