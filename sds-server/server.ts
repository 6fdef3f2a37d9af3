/** Puts Envoy's SecretDiscoveryService on a server. */

import type { Buffer } from 'node:buffer';
import { SecretDiscoveryServiceService } from '../api/index.ts';
import type { Clock, Logger, Random } from '../core/index.ts';
import { duplexStream, type RpcServer, unary } from '../rpc/index.ts';
import { delta } from './delta-secrets.ts';
import { fetchSecrets } from './fetch-secrets.ts';
import { createResourceEncoder } from './resource.ts';
import { everybody, type SdsAdmission, type SdsDeps } from './sds-deps.ts';
import { createNameResolver, noAliases, type SecretAliases } from './secret-name.ts';
import { type SdsClients, type SdsControl, SdsRegistry } from './sds-clients.ts';
import type { SecretSource } from './secret-source.ts';
import { nobodyObserves, type TrustObserver } from './stream-trust.ts';
import { serveSubscription } from './sds-session.ts';
import { stateOfTheWorld } from './stream-secrets.ts';
import { WantedNames } from './wanted-names.ts';

export interface SecretDiscoveryOptions {
  readonly source: SecretSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly aliases?: SecretAliases;
  readonly observer?: TrustObserver;
  /** Absent: everybody is admitted. */
  readonly admission?: SdsAdmission;
}

export interface SecretDiscovery {
  readonly clients: SdsClients;
  readonly control: SdsControl;
}

/**
 * Serves SDS v3 from `source` on `server`, before or after it listens.
 *
 * @example
 * addSecretDiscovery(server, { source, clock: systemClock, random: systemRandom, log });
 * await server.listenUnix('/run/signet/agent.sock', 0o777);
 */
export function addSecretDiscovery(
  server: RpcServer,
  options: SecretDiscoveryOptions,
): SecretDiscovery {
  const registry = new SdsRegistry();
  const resolve = createNameResolver(options.aliases ?? noAliases);
  const deps: SdsDeps = {
    source: options.source,
    admission: options.admission ?? everybody,
    resolve,
    encode: createResourceEncoder(),
    observer: options.observer ?? nobodyObserves,
    clients: registry,
    wanted: new WantedNames(options.source, resolve, options.clock),
    clock: options.clock,
    random: options.random,
    log: options.log,
  };
  const { lookup } = server;
  server.addService(encodedAlready, {
    streamSecrets: duplexStream(lookup, (stream, context) =>
      serveSubscription(stateOfTheWorld, stream, context, deps),
    ),
    fetchSecrets: unary(lookup, (request, context) => fetchSecrets(request, context, deps)),
    deltaSecrets: duplexStream(lookup, (stream, context) =>
      serveSubscription(delta, stream, context, deps),
    ),
  });
  return { clients: registry, control: registry };
}

const asIs = (bytes: Buffer): Buffer => bytes;
/** What streams send is encoded by us: the secrets in it once for all of them. */
const encodedAlready = {
  ...SecretDiscoveryServiceService,
  streamSecrets: { ...SecretDiscoveryServiceService.streamSecrets, responseSerialize: asIs },
  deltaSecrets: { ...SecretDiscoveryServiceService.deltaSecrets, responseSerialize: asIs },
};
