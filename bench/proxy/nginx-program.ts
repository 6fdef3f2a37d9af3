/** nginx as one process with what all of ours need of it; the servers are given as text. */

import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Scope } from '../../core/index.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import { outputOf } from '../tool.ts';
import { dnsNameOf, type PemFiles } from './mesh-identities.ts';

export interface NginxProgram {
  readonly name: string;
  /** The path of nginx. */
  readonly nginx: string;
  readonly directory: string;
  /** What to put before the command line. */
  readonly placement: readonly string[];
  /** What stands in the `http` block. */
  readonly servers: string;
  /** Servers of a `stream` block, which nginx has where {@link loadStream} says how to load it. */
  readonly stream?: { readonly load: string; readonly servers: string };
  /** A port it listens on, by which we see that it is ready. */
  readonly port: number;
}

export async function startNginxProgram(scope: Scope, p: NginxProgram): Promise<ChildProgram> {
  const prefix = join(p.directory, `${p.name}-files`);
  mkdirSync(prefix, { mode: 0o700 });
  const config = join(prefix, 'nginx.conf');
  writeFileSync(config, configOf(prefix, p), { mode: 0o600 });
  const errors = join(prefix, 'error.log');
  const command = [...p.placement, p.nginx, '-e', errors, '-p', prefix, '-c', config];
  const program = scope.add(startProgram({ name: p.name, directory: p.directory, command }));
  await untilReady(program, async () => {
    const socket = connect(p.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true;
  });
  return program;
}

/** A server that demands certificates of the mesh. Sessions are not resumed: our proxy does not, either. */
export function tlsListen(port: number, files: PemFiles): string {
  return `
    listen 127.0.0.1:${port} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate ${files.chain};
    ssl_certificate_key ${files.key};
    ssl_client_certificate ${files.root};
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_session_cache off;
    ssl_session_tickets off;`;
}

/** Passing requests on in mutual TLS to `server`, known by its DNS name: nginx reads no SPIFFE IDs. */
export function tlsPass(upstream: string, server: string, files: PemFiles): string {
  return `
      proxy_pass https://${upstream};
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_certificate ${files.chain};
      proxy_ssl_certificate_key ${files.key};
      proxy_ssl_trusted_certificate ${files.root};
      proxy_ssl_verify on;
      proxy_ssl_verify_depth 2;
      proxy_ssl_server_name on;
      proxy_ssl_name ${dnsNameOf(server)};
      proxy_ssl_session_reuse off;`;
}

/** Connections to one endpoint that are kept, all of them. */
export function keptUpstream(name: string, port: number): string {
  return `
  upstream ${name} {
    server 127.0.0.1:${port};
    keepalive 256;
    keepalive_requests ${requestsPerConnection};
    keepalive_timeout 600s;
  }`;
}

/** The directive that gives nginx its `stream` block, empty where it is built in; undefined where it has none. */
export function loadStream(nginx: string): string | undefined {
  const built = outputOf(nginx, ['-V']) ?? '';
  if (/ --with-stream(?= |$)/m.test(built)) return '';
  const folder = /--modules-path=(\S+)/.exec(built)?.[1];
  const path = folder === undefined ? undefined : join(folder, 'ngx_stream_module.so');
  return path === undefined || !existsSync(path) ? undefined : `load_module ${path};`;
}

function configOf(prefix: string, { servers, stream }: NginxProgram): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${prefix}/${kind};`)
    .join('\n');
  return `${stream?.load ?? ''}
daemon off;
master_process off;
worker_processes 1;
pid ${prefix}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
${temporary}
  keepalive_timeout 600s;
  keepalive_requests ${requestsPerConnection};
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
${servers}
}
${stream === undefined ? '' : `stream {${stream.servers}\n}\n`}`;
}

// By default nginx ends a connection after 1000 requests; handshakes are not what is measured here.
const requestsPerConnection = 1_000_000_000;
