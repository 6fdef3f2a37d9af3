/** `signet proxy run` as a process of its own, with the ports its log tells. */

import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ProxyMesh, until } from '../fakes/proxy-mesh.ts';

export interface ProxyProcess {
  readonly child: ChildProcess;
  /** The port of the listener called `in`. */
  readonly port: number;
  /** The port of the listener of that name. */
  readonly portOf: (name: string) => number;
  readonly adminPort: number;
  /** Lines of standard output, which is the access log. */
  readonly lines: () => string[];
  /** Everything on standard error, which is the program's log. */
  readonly log: () => string;
}

/** Writes a config into the mesh's directory; `config` lacks what is the same in every test. */
export function writeProxyConfig(
  mesh: ProxyMesh,
  name: string,
  config: Record<string, unknown>,
): string {
  const path = join(mesh.directory, name);
  const whole = { node: { id: 'test' }, accessLog: 'stdout', admin: '127.0.0.1:0', ...config };
  writeFileSync(path, JSON.stringify(whole));
  return path;
}

/** Starts it; `command` may stand before Node, for example to enter a network namespace. */
export async function startProxyProcess(
  mesh: ProxyMesh,
  config: string,
  command: readonly string[] = [],
): Promise<ProxyProcess> {
  const whole = [...command, process.execPath, 'cli/signet.ts', 'proxy', 'run', '--config', config];
  const [program = '', ...args] = whole;
  const child = spawn(program, args);
  mesh.scope.onClose(() => void child.kill('SIGKILL'));
  let log = '';
  let out = '';
  child.stderr.on('data', (bytes) => {
    log += String(bytes);
  });
  child.stdout.on('data', (bytes) => {
    out += String(bytes);
  });
  await until(() => log.includes('"adminPort"') || child.exitCode !== null);
  const portOf = (name: string): number =>
    Number(new RegExp(`"name":"${name}"[^\\n]*?"port":(\\d+)`).exec(log)?.[1]);
  const adminPort = Number(/"adminPort":(\d+)/.exec(log)?.[1]);
  return {
    child,
    port: portOf('in'),
    portOf,
    adminPort,
    lines: () => out.trim().split('\n'),
    log: () => log,
  };
}
