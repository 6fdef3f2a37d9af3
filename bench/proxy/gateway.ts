/** Client certificates for wrk, which has none: it speaks plaintext to a gateway, and that mutual TLS to the hop. */

import { freePorts } from '../../core/index.ts';
import type { Scope } from '../../core/index.ts';
import type { Placement } from '../placement.ts';
import type { Hop } from './hop.ts';
import type { PemFiles } from './mesh-identities.ts';
import { keptUpstream, startNginxProgram, tlsPass } from './nginx-program.ts';

export interface GatewaySetting {
  readonly nginx: string;
  readonly directory: string;
  readonly placement: Placement;
  readonly client: PemFiles;
}

/** The port at which each hop is reached, by the hop's name. */
export async function startGateway(
  scope: Scope,
  setting: GatewaySetting,
  hops: readonly Hop[],
): Promise<ReadonlyMap<string, number>> {
  const ports = await freePorts(hops.length);
  const servers = hops.map((hop, at) => {
    const upstream = `to_${hop.name}`;
    return `${keptUpstream(upstream, hop.tlsPort)}
  server {
    listen 127.0.0.1:${ports[at] ?? 0};
    location / {${tlsPass(upstream, 'proxy', setting.client)}
    }
  }`;
  });
  await startNginxProgram(scope, {
    name: 'gateway',
    nginx: setting.nginx,
    directory: setting.directory,
    placement: setting.placement.others,
    servers: servers.join('\n'),
    port: ports[0] ?? 0,
  });
  return new Map(hops.map((hop, at) => [hop.name, ports[at] ?? 0]));
}
