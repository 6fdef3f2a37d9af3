/** Filter chains of the config: which connections one is for, and how it treats them. */

import { z } from 'zod';
import { durationField } from '../core/index.ts';
import { nameField, peersField, rangesField } from './config-fields.ts';
import { tcpCodec } from './protocol/tcp/tcp-codec.ts';
import { protocolNames } from './proxy/protocols.ts';

export type ChainConfig = z.output<typeof chainSchema> & { readonly mode: TlsMode };

type TlsMode = 'strict' | 'permissive' | 'off';

const serverNameField = z
  .string()
  .regex(
    /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/,
    'a server name is written in lower case, for example orders.mesh.test or *.mesh.test',
  );

const matchSchema = z.strictObject({
  serverNames: z.array(serverNameField).min(1).optional(),
  alpn: z.array(z.string().min(1).max(255)).min(1).optional(),
  sources: rangesField.optional(),
  destinations: rangesField.optional(),
  destinationPorts: z.array(z.int().min(1).max(65_535)).min(1).optional(),
});

const prefixField = z
  .string()
  .regex(/^\/[^?#\s]*$/, 'a prefix begins with / and holds no ?, # or white space');

/**
 * Without `timeout` a request may take as long as it goes on: what a route carries is not known to us, be it a download or
 * a stream, and `timeouts.response` bounds its silence.
 */
const routeSchema = z
  .strictObject({
    prefix: prefixField,
    cluster: nameField,
    /** From the end of the request to the end of its response. */
    timeout: durationField.optional(),
    /** From the end of the request, or the connection for it, to the head of a response; then another is asked, once. */
    perTryTimeout: durationField.optional(),
  })
  .superRefine(({ timeout, perTryTimeout }, context) => {
    if (timeout === undefined || perTryTimeout === undefined || perTryTimeout < timeout) return;
    const message = 'it is shorter than timeout, or there is no second try';
    context.addIssue({ code: 'custom', path: ['perTryTimeout'], message });
  });

/** RFC 9110 §7.8. Within what stands here a client could speak HTTP that no rule of ours has seen. */
const upgradeField = z
  .string()
  .regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/, 'a protocol to upgrade to is one token in lower case')
  .refine((protocol) => !/^(?:h2c|http.*|tls)$/.test(protocol), {
    message: 'HTTP and TLS are not upgraded to: what is said inside would go past the routes',
  });

const authorityField = z
  .string()
  .regex(
    /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+):[1-9][0-9]{0,4}$/,
    'an authority is host:port in lower case, for example db.mesh.test:5432',
  );

/** With `dial` the proxy answers the CONNECT itself, and the tunnel goes on to the cluster as TCP. */
const connectSchema = z.strictObject({
  authority: authorityField,
  cluster: nameField,
  dial: z.literal(true).optional(),
});

const portsField = z.array(z.int().min(1).max(65_535)).max(1024);

/** What a filter chain says, and a listener that is one chain itself. */
export const chainFields = {
  mode: z.enum(['strict', 'permissive', 'off']).optional(),
  tls: z.strictObject({ allow: peersField, deny: peersField.optional() }).optional(),
  plaintext: z.literal(true).optional(),
  /** `auto` looks at ALPN and at the first bytes; what it does not know goes to `cluster`, if there is one. */
  protocol: z.enum([...protocolNames, tcpCodec.name, 'auto']),
  routes: z.array(routeSchema).optional(),
  cluster: nameField.optional(),
  /** Destination ports whose connections are relayed unseen; of `auto` alone. */
  opaquePorts: portsField.optional(),
  /** Destination ports whose servers speak first; of `auto`, and of `tcp` that takes plaintext. Well-known ones if not given. */
  serverFirstPorts: portsField.optional(),
  /** Protocols that requests may be upgraded to; `websocket` if not given. */
  upgrades: z.array(upgradeField).max(16).optional(),
  /** Requests of gRPC-Web become gRPC on their way to clusters of HTTP/2. */
  grpcWeb: z.literal(true).optional(),
  /** Authorities that CONNECT may name, and the clusters it is sent on to; none if not given. */
  connect: z.array(connectSchema).optional(),
};

export const chainSchema = z
  .strictObject({ name: nameField, match: matchSchema.default({}), ...chainFields })
  .superRefine((chain, context) => {
    checkChain(chain, context);
    const asksHello = chain.match.serverNames !== undefined || chain.match.alpn !== undefined;
    if (asksHello && chain.tls === undefined) {
      const message = 'serverNames and alpn are known of TLS alone, so the chain needs tls';
      context.addIssue({ code: 'custom', path: ['match'], message });
    }
  });

/** A chain as it is written, before it is known to be right. */
export interface WrittenChain {
  readonly mode?: 'strict' | 'permissive' | 'off' | undefined;
  readonly tls?: object | undefined;
  readonly plaintext?: true | undefined;
  readonly protocol?: string | undefined;
  readonly routes?: readonly unknown[] | undefined;
  readonly cluster?: string | undefined;
  readonly opaquePorts?: readonly number[] | undefined;
  readonly serverFirstPorts?: readonly number[] | undefined;
  readonly upgrades?: readonly unknown[] | undefined;
  readonly grpcWeb?: true | undefined;
  readonly connect?: readonly { readonly dial?: true | undefined }[] | undefined;
}

/** `strict` is the default of a chain with `tls`, and what `plaintext: true` says is `off`. */
export function modeOf(chain: WrittenChain): 'strict' | 'permissive' | 'off' {
  return chain.mode ?? (chain.tls === undefined ? 'off' : 'strict');
}

export function checkChain(chain: WrittenChain, context: z.RefinementCtx): void {
  const fault = (path: string[], message: string): void =>
    context.addIssue({ code: 'custom', path, message });
  const { mode, tls, plaintext } = chain;
  // Plaintext is never what a forgotten line means.
  if (mode === undefined) {
    if ((tls === undefined) === (plaintext === undefined)) {
      fault([], 'state either tls or plaintext: true');
    }
  } else if (plaintext !== undefined) {
    fault(['plaintext'], 'mode says it already; leave plaintext out');
  } else if (mode === 'off' ? tls !== undefined : tls === undefined) {
    fault(['mode'], mode === 'off' ? 'mode: off has no tls' : `mode: ${mode} needs tls`);
  }
  checkProtocol(chain, fault);
}

function checkProtocol(
  chain: WrittenChain,
  fault: (path: string[], message: string) => void,
): void {
  const { protocol, cluster, opaquePorts, serverFirstPorts } = chain;
  if (protocol === undefined) {
    fault([], 'state a protocol, or filterChains');
    return;
  }
  if (protocol === 'tcp') {
    if (cluster === undefined) fault([], 'a tcp listener needs a cluster');
    if (chain.routes !== undefined) fault(['routes'], 'a tcp listener has no routes');
    if (chain.upgrades !== undefined) fault(['upgrades'], 'a tcp listener has no upgrades');
    if (chain.connect !== undefined) fault(['connect'], 'a tcp listener knows no CONNECT');
    if (chain.grpcWeb !== undefined) fault(['grpcWeb'], 'a tcp listener knows no gRPC');
  } else if ((chain.routes ?? []).length === 0) {
    fault([], `an ${protocol} listener needs routes`);
  }
  if (protocolNames.includes(protocol) && cluster !== undefined) {
    fault(['cluster'], `an ${protocol} listener names its clusters in routes`);
  }
  if (protocol === 'http2') {
    if (chain.connect?.every(({ dial }) => dial === true) === false) {
      fault(['connect'], 'an http2 listener sends no CONNECT on; write dial: true');
    }
  }
  for (const [key, ports] of Object.entries({ opaquePorts, serverFirstPorts })) {
    if (ports === undefined) continue;
    // Beside TLS on one port, a relay's connections are looked at too.
    if (key === 'serverFirstPorts' && protocol === 'tcp' && modeOf(chain) !== 'strict') continue;
    if (protocol !== 'auto') fault([key], 'only protocol: auto looks at what it might not look at');
    else if (cluster === undefined) fault([key], 'name a cluster to relay them to');
  }
}
