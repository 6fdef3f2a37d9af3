/** Puts Envoy's SecretDiscoveryService on a server. */

import { SecretDiscoveryServiceService } from '../api/index.ts';
import type { Clock, Logger, Random } from '../core/index.ts';
import { duplexStream, type RpcServer, unary } from '../rpc/index.ts';
import { deltaSecrets } from './delta-secrets.ts';
import { fetchSecrets } from './fetch-secrets.ts';
import { createResourceEncoder } from './resource.ts';
import type { SdsDeps } from './sds-deps.ts';
import { noAliases, type SecretAliases } from './secret-name.ts';
import type { SecretSource } from './secret-source.ts';
import { nobodyObserves, type TrustObserver } from './stream-trust.ts';
import { streamSecrets } from './stream-secrets.ts';

export interface SecretDiscoveryOptions {
  readonly source: SecretSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly aliases?: SecretAliases;
  readonly observer?: TrustObserver;
}

/**
 * Serves SDS v3 from `source` on `server`, before or after it listens.
 *
 * @example
 * addSecretDiscovery(server, { source, clock: systemClock, random: systemRandom, log });
 * await server.listenUnix('/run/signet/agent.sock', 0o777);
 */
export function addSecretDiscovery(server: RpcServer, options: SecretDiscoveryOptions): void {
  const deps: SdsDeps = {
    source: options.source,
    aliases: options.aliases ?? noAliases,
    encode: createResourceEncoder(),
    observer: options.observer ?? nobodyObserves,
    clock: options.clock,
    random: options.random,
    log: options.log,
  };
  const { lookup } = server;
  server.addService(SecretDiscoveryServiceService, {
    streamSecrets: duplexStream(lookup, (stream, context) => streamSecrets(stream, context, deps)),
    fetchSecrets: unary(lookup, (request, context) => fetchSecrets(request, context, deps)),
    deltaSecrets: duplexStream(lookup, deltaSecrets),
  });
}
