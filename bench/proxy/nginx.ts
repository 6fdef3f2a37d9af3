/** nginx doing the same hop: one process, TLS 1.3, certificates required both ways, connections kept. */

import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Scope } from '../../core/index.ts';
import { startProgram, untilReady } from '../child-program.ts';
import { freePorts } from '../free-ports.ts';
import type { BackendPorts, Hop, HopSetting } from './hop.ts';
import { dnsNameOf, type PemFiles, writePemFiles } from './mesh-identities.ts';

export async function startNginx(scope: Scope, nginx: string, setting: HopSetting): Promise<Hop> {
  const { placement, identities, backend } = setting;
  const directory = join(setting.directory, 'nginx');
  mkdirSync(directory, { mode: 0o700 });
  const [plaintextPort = 0, tlsPort = 0] = await freePorts(2);
  const files = writePemFiles(directory, 'pem', identities.proxy, identities.root);
  const config = join(directory, 'nginx.conf');
  const text = nginxConfig({ directory, files, backend, plaintextPort, tlsPort });
  writeFileSync(config, text, { mode: 0o600 });
  const errors = join(directory, 'error.log');
  const command = [...placement.underTest, nginx, '-e', errors, '-p', directory, '-c', config];
  const program = scope.add(startProgram({ name: 'nginx', directory, command }));
  await untilReady(program, async () => {
    const socket = connect(tlsPort, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true;
  });
  return { name: 'nginx', program, plaintextPort, tlsPort };
}

interface NginxSetting extends BackendPorts {
  readonly directory: string;
  readonly files: PemFiles;
  readonly backend: BackendPorts;
}

/**
 * The configuration. It adds the headers that our proxy adds. It cannot judge SPIFFE IDs: it lets in
 * whoever the root vouches for, which is less work than ours does.
 */
export function nginxConfig(p: NginxSetting): string {
  const { files } = p;
  return `daemon off;
master_process off;
worker_processes 1;
pid ${p.directory}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${p.directory}/body;
  proxy_temp_path ${p.directory}/proxy;
  fastcgi_temp_path ${p.directory}/fastcgi;
  uwsgi_temp_path ${p.directory}/uwsgi;
  scgi_temp_path ${p.directory}/scgi;
  keepalive_timeout 600s;
  keepalive_requests ${requestsPerConnection};

  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header X-Forwarded-Client-Cert $client_cert;
  map $server_port $client_cert {
    default "";
    ${p.tlsPort} "URI=spiffe://mesh.test/client";
  }

  upstream plaintext {
    server 127.0.0.1:${p.backend.plaintextPort};
    keepalive 256;
    keepalive_requests ${requestsPerConnection};
    keepalive_timeout 600s;
  }
  upstream mtls {
    server 127.0.0.1:${p.backend.tlsPort};
    keepalive 256;
    keepalive_requests ${requestsPerConnection};
    keepalive_timeout 600s;
  }

  server {
    listen 127.0.0.1:${p.plaintextPort};
    location / { proxy_pass http://plaintext; }
  }
  server {
    listen 127.0.0.1:${p.tlsPort} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate ${files.chain};
    ssl_certificate_key ${files.key};
    ssl_client_certificate ${files.root};
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_session_cache off;
    ssl_session_tickets off;
    location / {
      proxy_pass https://mtls;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_certificate ${files.chain};
      proxy_ssl_certificate_key ${files.key};
      proxy_ssl_trusted_certificate ${files.root};
      proxy_ssl_verify on;
      proxy_ssl_verify_depth 2;
      proxy_ssl_server_name on;
      proxy_ssl_name ${dnsNameOf('backend')};
      proxy_ssl_session_reuse off;
    }
  }
}
`;
}

// By default nginx ends a connection after 1000 requests; handshakes are not what is measured here.
const requestsPerConnection = 1_000_000_000;
