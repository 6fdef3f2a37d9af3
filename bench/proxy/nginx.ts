/** nginx doing the same hop as our sidecar: TLS 1.3, certificates required both ways, connections kept. */

import type { Scope } from '../../core/index.ts';
import { freePorts } from '../free-ports.ts';
import type { Hop, HopSetting } from './hop.ts';
import { writePemFiles } from './mesh-identities.ts';
import { keptUpstream, startNginxProgram, tlsListen, tlsPass } from './nginx-program.ts';

/**
 * It adds the fields that our proxy adds. It cannot judge SPIFFE IDs: it lets in whoever the root
 * vouches for, which is less work than ours does.
 */
export async function startNginx(scope: Scope, nginx: string, setting: HopSetting): Promise<Hop> {
  const { directory, placement, identities, backend } = setting;
  const [plaintextPort = 0, tlsPort = 0] = await freePorts(2);
  const files = writePemFiles(directory, 'nginx', identities.proxy, identities.root);
  const servers = `${keptUpstream('plaintext', backend.plaintextPort)}
  ${keptUpstream('mtls', backend.tlsPort)}
  server {
    listen 127.0.0.1:${plaintextPort};
    location / {
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto http;
      proxy_set_header X-Request-Id $request_id;
      proxy_pass http://plaintext;
    }
  }
  server {${tlsListen(tlsPort, files)}
    location / {
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-Client-Cert "URI=${identities.client.id}";${tlsPass('mtls', 'backend', files)}
    }
  }`;
  const program = await startNginxProgram(scope, {
    name: 'nginx',
    nginx,
    directory,
    placement: placement.underTest,
    servers,
    port: tlsPort,
  });
  return { name: 'nginx', program, plaintextPort, tlsPort };
}
