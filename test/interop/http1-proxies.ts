/** nginx and haproxy as plain proxies of HTTP/1.1 or HTTP/2 before one upstream of HTTP/1.1, each in its usual strictness. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePorts } from '../../core/index.ts';
import { findTool } from '../../bench/tool.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import type { Scope } from '../../core/index.ts';

export interface RivalPrograms {
  readonly nginx: string;
  readonly haproxy: string;
}

/** Both of Debian's packages, or undefined. */
export function findRivals(): RivalPrograms | undefined {
  const nginx = findTool('nginx');
  const haproxy = findTool('haproxy');
  return nginx === undefined || haproxy === undefined ? undefined : { nginx, haproxy };
}

/** Starts nginx before each of the upstreams; answers the ports to speak to. */
export async function startNginxBefore(
  scope: Scope,
  nginx: string,
  directory: string,
  upstreamPorts: readonly number[],
  version: 'http1' | 'http2' = 'http1',
): Promise<readonly number[]> {
  const ports = await freePorts(upstreamPorts.length);
  const prefix = join(directory, 'nginx');
  mkdirSync(prefix);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${prefix}/${kind};`)
    .join('\n');
  const config = join(prefix, 'nginx.conf');
  writeFileSync(
    config,
    `daemon off;
master_process off;
pid ${prefix}/nginx.pid;
error_log ${prefix}/error.log crit;
events { worker_connections 512; }
http {
  access_log off;
${temporary}
  keepalive_timeout ${patienceSeconds}s;
  client_header_timeout ${patienceSeconds}s;
  client_body_timeout ${patienceSeconds}s;
  lingering_timeout ${patienceSeconds}s;
${ports
  .map(
    (port, at) => `  server {
    listen 127.0.0.1:${port}${version === 'http2' ? ' http2' : ''};
    location / {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_pass http://127.0.0.1:${upstreamPorts[at] ?? 0};
    }
  }
`,
  )
  .join('')}}
`,
  );
  await startProgram(
    scope,
    nginx,
    ['-e', join(prefix, 'error.log'), '-p', prefix, '-c', config],
    ports,
  );
  return ports;
}

export async function startHaproxyBefore(
  scope: Scope,
  haproxy: string,
  directory: string,
  upstreamPorts: readonly number[],
  version: 'http1' | 'http2' = 'http1',
): Promise<readonly number[]> {
  const ports = await freePorts(upstreamPorts.length);
  const config = join(directory, 'haproxy.cfg');
  writeFileSync(
    config,
    `global
  maxconn 256
defaults
  mode http
  timeout connect 5s
  timeout server 5s
  timeout client ${patienceSeconds}s
  timeout http-request ${patienceSeconds}s
  timeout http-keep-alive ${patienceSeconds}s
${ports
  .map(
    (port, at) => `listen proxy${at}
  bind 127.0.0.1:${port}${version === 'http2' ? ' proto h2' : ''}
  server app 127.0.0.1:${upstreamPorts[at] ?? 0}
`,
  )
  .join('')}`,
  );
  await startProgram(scope, haproxy, ['-db', '-f', config], ports);
  return ports;
}

export async function startProgram(
  scope: Scope,
  program: string,
  args: readonly string[],
  ports: readonly number[],
): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += String(bytes);
  });
  scope.onClose(() => stop(child));
  await waitFor(`${program} listening`, 10_000, async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
    const accepting = await Promise.all(ports.map(accepts));
    return accepting.every(Boolean) ? true : undefined;
  });
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    // Not there yet, for whatever reason.
    return false;
  } finally {
    socket.destroy();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** How long each proxy waits for the rest of a message, so that every exchange ends by itself. */
export const patienceSeconds = 1;
