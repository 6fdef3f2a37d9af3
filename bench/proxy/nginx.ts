/** nginx doing the same hop as our sidecar: TLS 1.3, certificates required both ways, connections kept. */

import { freePorts } from '../../core/index.ts';
import type { Scope } from '../../core/index.ts';
import type { ChildProgram } from '../child-program.ts';
import type { Hop, HopSetting, SharedPort } from './hop.ts';
import { writePemFiles } from './mesh-identities.ts';
import {
  keptUpstream,
  loadStream,
  startNginxProgram,
  tlsListen,
  tlsPass,
} from './nginx-program.ts';

/**
 * It adds the fields that our proxy adds. It cannot judge SPIFFE IDs: it lets in whoever the root
 * vouches for, which is less work than ours does.
 */
export async function startNginx(scope: Scope, nginx: string, setting: HopSetting): Promise<Hop> {
  const { directory, placement, identities, backend } = setting;
  const [plaintextPort = 0, tlsPort = 0, grpcPort = 0, relayPort = 0] = await freePorts(4);
  const files = writePemFiles(directory, 'nginx', identities.proxy, identities.root);
  const servers = `${keptUpstream('plaintext', backend.plaintextPort)}
  ${keptUpstream('mtls', backend.tlsPort)}
  ${keptUpstream('grpc', backend.grpcPort)}
  server {
    listen 127.0.0.1:${plaintextPort};${plaintextLocation}
  }
  server {${tlsListen(tlsPort, files)}
    location / {
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-Client-Cert "URI=${identities.client.id}";${tlsPass('mtls', 'backend', files)}
    }
  }
  server {
    listen 127.0.0.1:${grpcPort} http2;
    location / {
      grpc_set_header X-Forwarded-Proto http;
      grpc_set_header X-Request-Id $request_id;
      grpc_pass grpc://grpc;
    }
  }`;
  const load = loadStream(nginx);
  const relay = `
  server {${tlsListen(relayPort, files)}
    proxy_pass 127.0.0.1:${backend.relayPort};
  }`;
  const program = await startNginxProgram(scope, {
    name: 'nginx',
    nginx,
    directory,
    placement: placement.underTest,
    servers,
    ...(load === undefined ? {} : { stream: { load, servers: relay } }),
    port: tlsPort,
  });
  return {
    name: 'nginx',
    program,
    plaintextPort,
    tlsPort,
    grpcPort,
    relayPort: load === undefined ? undefined : relayPort,
  };
}

/** A process that shares its port with another, both on their own: a worker each, without a master. */
export function startNginxProcess(
  scope: Scope,
  nginx: string,
  { directory, placement, backend }: HopSetting,
  { name, sharedPort, alonePort }: SharedPort,
): Promise<ChildProgram> {
  const alone = alonePort === undefined ? '' : `listen 127.0.0.1:${alonePort};`;
  const servers = `${keptUpstream('plaintext', backend.plaintextPort)}
  server {
    listen 127.0.0.1:${sharedPort} reuseport;
    ${alone}${plaintextLocation}
  }`;
  const program = { name, nginx, directory, servers, port: sharedPort };
  return startNginxProgram(scope, { ...program, placement: placement.everywhere });
}

const plaintextLocation = `
    location / {
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto http;
      proxy_set_header X-Request-Id $request_id;
      proxy_pass http://plaintext;
    }`;
