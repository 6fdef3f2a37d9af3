/** The proxy's config file: what it listens on, where requests go, whom it lets in and whom it expects. */

import { z } from 'zod';
import { addressField, durationField, parseConfig, socketPathField } from '../core/index.ts';
import type { ChainConfig } from './chain-config.ts';
import { nameField, peersField } from './config-fields.ts';
import { chainsOf, listenerSchema } from './listener-config.ts';
import { protocolNames } from './proxy/protocols.ts';
import { timeoutsSchema } from './timeouts-config.ts';

export type ProxyConfig = z.output<typeof proxySchema>;
export type ClusterConfig = ProxyConfig['clusters'][number];

/** Throws core's ConfigError with every fault of the text, each with its line and column. */
export function parseProxyConfig(text: string, fileName: string): ProxyConfig {
  return parseConfig(text, fileName, proxySchema);
}

const endpointField = addressField.superRefine((address, context) => {
  if (address.host === '::' || address.port === 0) {
    const message = 'an endpoint needs a host and a port, for example 127.0.0.1:8080';
    context.addIssue({ code: 'custom', message });
  }
});

const clusterSchema = z.strictObject({
  name: nameField,
  /** Where to; `original` is where each relayed connection was going before it was redirected to us. */
  endpoints: z.union([
    z.literal('original'),
    z.array(endpointField).min(1, 'a cluster needs an endpoint'),
  ]),
  tls: z.strictObject({ expect: peersField, deny: peersField.optional() }).optional(),
  /** Each connection begins with a PROXY header that names the client, for relays: a request shares its connection. */
  proxyProtocol: z.enum(['v1', 'v2']).optional(),
  /** What its endpoints are spoken to in, where the listener's protocol is HTTP. */
  protocol: z.enum(protocolNames).default('http1'),
  // Of one endpoint, for requests and as many again for relays; of `original`, all its relays together.
  // Far above what one endpoint serves at once with one request per connection, far below the ports there are.
  connectionsMax: z.int().min(1).max(60_000).default(1024),
});

const tlsSchema = z.strictObject({
  /** 1.2, with AEAD and ECDHE alone, is for peers that know no better. */
  minVersion: z.enum(['1.2', '1.3']).default('1.3'),
  /**
   * How long a connection may live on after our certificate in it was replaced: it then begins nothing new, and is
   * ended `timeouts.drain` later. Without it only its peers end it.
   */
  supersededAgeMax: durationField.optional(),
});

const proxySchema = z
  .strictObject({
    node: z.strictObject({ id: z.string().min(1), cluster: z.string().default('') }),
    sds: z
      .strictObject({
        socket: socketPathField,
        certificate: z.string().min(1).default('default'),
        validation: z.string().min(1).default('ALL'),
      })
      .optional(),
    admin: addressField.default({ host: '127.0.0.1', port: 15_000 }),
    accessLog: z
      .string()
      .refine((text) => text === 'stdout' || text === 'off' || text.startsWith('/'), {
        message: 'write stdout, off or an absolute path',
      })
      .default('stdout'),
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
    tls: tlsSchema.default(tlsSchema.parse({})),
    timeouts: timeoutsSchema.default(timeoutsSchema.parse({})),
    /** Accepted connections of all listeners together; each takes a descriptor, and mostly one upstream. */
    connectionsMax: z.int().min(1).max(1_000_000).default(30_000),
    /** Processes that serve the same ports, each with its own stream of secrets; one for each core is the most that pays. */
    workers: z.int().min(1).max(64).default(1),
    listeners: z.array(listenerSchema).min(1, 'a proxy needs a listener'),
    clusters: z.array(clusterSchema),
  })
  .superRefine((config, context) => {
    const fault = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    const clusters = uniqueNames(config.clusters, 'clusters', fault);
    uniqueNames(config.listeners, 'listeners', fault);
    config.listeners.forEach((listener, at) => {
      chainsOf(listener).forEach((chain, chainAt) => {
        const chainPath = listener.filterChains === undefined ? [] : ['filterChains', chainAt];
        const path = ['listeners', at, ...chainPath];
        chain.routes?.forEach((route, index) => {
          if (clusters.has(route.cluster)) return;
          fault([...path, 'routes', index, 'cluster'], `there is no cluster ${route.cluster}`);
        });
        if (chain.grpcWeb === true && !reachesHttp2(chain, config.clusters)) {
          fault([...path, 'grpcWeb'], 'it needs a route to a cluster with protocol: http2');
        }
        chain.connect?.forEach((each, index) => {
          const cluster = config.clusters.find(({ name }) => name === each.cluster);
          const message =
            cluster === undefined
              ? `there is no cluster ${each.cluster}`
              : whyNoConnect(each.dial === true, cluster);
          if (message !== undefined) fault([...path, 'connect', index, 'cluster'], message);
        });
        if (chain.cluster !== undefined && !clusters.has(chain.cluster)) {
          fault([...path, 'cluster'], `there is no cluster ${chain.cluster}`);
        }
      });
    });
    checkRelayClusters(config, fault);
    if (config.workers > 1) checkWorkers(config, fault);
    const wantsTls = speaksTls(config);
    if (wantsTls && config.sds === undefined)
      fault(['sds'], 'tls needs an sds socket to take secrets from');
  });

function whyNoConnect(dials: boolean, cluster: z.output<typeof clusterSchema>): string | undefined {
  if (dials) {
    return cluster.endpoints === 'original'
      ? 'who asks for a tunnel was going to us, so its cluster needs endpoints'
      : undefined;
  }
  return cluster.protocol === 'http1'
    ? undefined
    : `cluster ${cluster.name} speaks HTTP/2, which carries no CONNECT here`;
}

function reachesHttp2(
  { routes = [] }: ChainConfig,
  clusters: readonly { readonly name: string; readonly protocol: string }[],
): boolean {
  const http2 = clusters.filter(({ protocol }) => protocol === 'http2').map(({ name }) => name);
  return routes.some(({ cluster }) => http2.includes(cluster));
}

/** What only relays can have, since a request shares its connection with those of other clients. */
function checkRelayClusters(
  config: Pick<ProxyConfig, 'listeners' | 'clusters'>,
  fault: (path: (string | number)[], message: string) => void,
): void {
  const requested = new Set(config.listeners.flatMap(chainsOf).flatMap(requestClusters));
  const asking = config.listeners.filter(({ originalDestination }) => !originalDestination);
  const unaware = new Set(asking.flatMap(chainsOf).map(({ cluster }) => cluster));
  config.clusters.forEach(({ name, proxyProtocol, endpoints }, at) => {
    if (proxyProtocol !== undefined && requested.has(name)) {
      const message =
        'requests of several clients share a connection, so only a relay can name one';
      fault(['clusters', at, 'proxyProtocol'], message);
    }
    if (endpoints !== 'original') return;
    if (requested.has(name)) {
      fault(
        ['clusters', at, 'endpoints'],
        'requests are routed, so only a relay can go where it was going',
      );
    }
    if (unaware.has(name)) {
      fault(['clusters', at, 'endpoints'], 'its listeners need originalDestination: true');
    }
  });
}

function checkWorkers(
  config: Pick<ProxyConfig, 'listeners' | 'accessLog'>,
  fault: (path: (string | number)[], message: string) => void,
): void {
  config.listeners.forEach(({ address }, at) => {
    if (isSharedPort(address)) return;
    fault(['listeners', at, 'address'], 'workers share a TCP port that is named, and not port 0');
  });
  // Lines longer than the kernel's bound for a pipe would be mixed with those of other processes.
  if (config.accessLog === 'stdout') {
    fault(['accessLog'], 'several workers need a file that they can append to, or off');
  }
}

/** Of an address with a fault nothing is known. */
function isSharedPort(address: unknown): boolean {
  return typeof address === 'object' && address !== null && 'port' in address && address.port !== 0;
}

/** Clusters that are sent requests, over connections which they share. */
export function requestClusters(chain: ChainConfig): string[] {
  const sentOn = (chain.connect ?? []).filter(({ dial }) => dial !== true);
  return [...(chain.routes ?? []), ...sentOn].map(({ cluster }) => cluster);
}

/** Whether any listener or cluster speaks TLS. */
export function speaksTls(config: Pick<ProxyConfig, 'listeners' | 'clusters'>): boolean {
  const chains = config.listeners.flatMap(chainsOf);
  return [...chains, ...config.clusters].some((each) => each.tls !== undefined);
}

function uniqueNames(
  items: readonly { readonly name: string }[],
  list: string,
  fault: (path: (string | number)[], message: string) => void,
): Set<string> {
  const names = new Set<string>();
  items.forEach(({ name }, at) => {
    if (names.has(name)) fault([list, at, 'name'], `${name} is there twice`);
    names.add(name);
  });
  return names;
}
