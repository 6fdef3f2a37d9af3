/** An SDS source for the sidecar under test: one identity that never changes. */

import { join } from 'node:path';
import {
  type Closable,
  silentLogger,
  systemClock,
  systemRandom,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { createRpcServer } from '../../rpc/index.ts';
import { addSecretDiscovery, type SecretSet } from '../../sds-server/index.ts';
import type { Bundle } from '../../spiffe/index.ts';
import { benchTrustDomain, type MeshIdentities } from './mesh-identities.ts';

export interface SdsSource extends Closable {
  readonly socket: string;
}

export async function startSdsSource(
  directory: string,
  identities: MeshIdentities,
): Promise<SdsSource> {
  const bundle: Bundle = {
    trustDomain: benchTrustDomain,
    sequence: 1n,
    x509Authorities: [identities.root],
    jwtAuthorities: [],
  };
  const secrets: Watch<SecretSet> = new WatchSource<SecretSet>({
    trustDomain: benchTrustDomain,
    svids: [identities.proxy],
    defaultSvid: identities.proxy,
    bundles: new Map([[benchTrustDomain, bundle]]),
  });
  const server = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  addSecretDiscovery(server, {
    source: { watch: () => Promise.resolve(secrets) },
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  const socket = join(directory, 'sds.sock');
  await server.listenUnix(socket, 0o600);
  return { socket, close: () => server.close() };
}
