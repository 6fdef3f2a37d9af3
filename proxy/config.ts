/** The proxy's config file: what it listens on, where requests go, whom it lets in and whom it expects. */

import { z } from 'zod';
import { addressField, durationField, parseConfig, socketPathField } from '../core/index.ts';
import { parsePeerPolicy, PeerPolicyError } from '../policies/index.ts';

export type ProxyConfig = z.output<typeof proxySchema>;
export type ListenerConfig = ProxyConfig['listeners'][number];
export type ClusterConfig = ProxyConfig['clusters'][number];

/** Throws core's ConfigError with every fault of the text, each with its line and column. */
export function parseProxyConfig(text: string, fileName: string): ProxyConfig {
  return parseConfig(text, fileName, proxySchema);
}

const nameField = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]{1,64}$/,
    'a name is 1 to 64 letters, digits, dots, dashes or underscores',
  );

const peersField = z.array(z.string()).superRefine((patterns, context) => {
  try {
    parsePeerPolicy(patterns);
  } catch (error) {
    if (!(error instanceof PeerPolicyError)) throw error;
    const remedy = error.remedy === undefined ? '' : `; ${error.remedy}`;
    context.addIssue({ code: 'custom', message: `${error.message}${remedy}` });
  }
});

const endpointField = addressField.superRefine((address, context) => {
  if (address.host === '::' || address.port === 0) {
    const message = 'an endpoint needs a host and a port, for example 127.0.0.1:8080';
    context.addIssue({ code: 'custom', message });
  }
});

const prefixField = z
  .string()
  .regex(/^\/[^?#\s]*$/, 'a prefix begins with / and holds no ?, # or white space');

const listenerSchema = z
  .strictObject({
    name: nameField,
    address: addressField,
    tls: z.strictObject({ allow: peersField }).optional(),
    plaintext: z.literal(true).optional(),
    protocol: z.enum(['http1', 'tcp']),
    routes: z.array(z.strictObject({ prefix: prefixField, cluster: nameField })).optional(),
    cluster: nameField.optional(),
    // An open descriptor per connection on each side; the usual limit of a process is 65,536 of them.
    connectionsMax: z.int().min(1).max(1_000_000).default(20_000),
  })
  .superRefine((listener, context) => {
    const fault = (path: string[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    // Plaintext is never what a forgotten line means.
    if ((listener.tls === undefined) === (listener.plaintext === undefined)) {
      fault([], 'state either tls or plaintext: true');
    }
    if (listener.protocol === 'tcp') {
      if (listener.cluster === undefined) fault([], 'a tcp listener needs a cluster');
      if (listener.routes !== undefined) fault(['routes'], 'a tcp listener has no routes');
    } else {
      if ((listener.routes ?? []).length === 0) fault([], 'an http1 listener needs routes');
      if (listener.cluster !== undefined)
        fault(['cluster'], 'an http1 listener names its clusters in routes');
    }
  });

const clusterSchema = z.strictObject({
  name: nameField,
  endpoints: z.array(endpointField).min(1, 'a cluster needs an endpoint'),
  tls: z.strictObject({ expect: peersField }).optional(),
  // Far above what one endpoint serves at once with one request per connection, far below the ports there are.
  connectionsMax: z.int().min(1).max(60_000).default(1024),
});

const timeoutsSchema = z.strictObject({
  connect: durationField.default(5000),
  /** From the last byte of a request to the head of its response, and between two pieces of a body. */
  response: durationField.default(60_000),
  /** How long a client may take over a request's head. */
  head: durationField.default(30_000),
  /** A connection on which nothing happens. Longer downstream than upstream, so that we never race our own peer. */
  idle: durationField.default(75_000),
  upstreamIdle: durationField.default(30_000),
  drain: durationField.default(10_000),
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
    timeouts: timeoutsSchema.default(timeoutsSchema.parse({})),
    listeners: z.array(listenerSchema).min(1, 'a proxy needs a listener'),
    clusters: z.array(clusterSchema),
  })
  .superRefine((config, context) => {
    const fault = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    const clusters = uniqueNames(config.clusters, 'clusters', fault);
    uniqueNames(config.listeners, 'listeners', fault);
    config.listeners.forEach((listener, at) => {
      listener.routes?.forEach((route, index) => {
        if (!clusters.has(route.cluster)) {
          fault(
            ['listeners', at, 'routes', index, 'cluster'],
            `there is no cluster ${route.cluster}`,
          );
        }
      });
      if (listener.cluster !== undefined && !clusters.has(listener.cluster)) {
        fault(['listeners', at, 'cluster'], `there is no cluster ${listener.cluster}`);
      }
    });
    const wantsTls = [...config.listeners, ...config.clusters].some(
      (each) => each.tls !== undefined,
    );
    if (wantsTls && config.sds === undefined)
      fault(['sds'], 'tls needs an sds socket to take secrets from');
  });

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
