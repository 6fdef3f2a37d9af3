/** The listeners of the config: where they listen, and the filter chains that say how a connection is treated. */

import { z } from 'zod';
import { addressField, socketPathField } from '../core/index.ts';
import {
  type ChainConfig,
  chainFields,
  chainSchema,
  checkChain,
  modeOf,
  type WrittenChain,
} from './chain-config.ts';
import { nameField, rangesField } from './config-fields.ts';

export type ListenerConfig = z.output<typeof listenerSchema>;

/** `host:port`, or `unix:` and the path of a socket. */
const listenAddressField = z.string().transform((text, context) => {
  const isPath = text.startsWith(unixScheme);
  const parsed = isPath
    ? socketPathField.transform((path) => ({ path })).safeParse(text.slice(unixScheme.length))
    : addressField.safeParse(text);
  if (parsed.success) return parsed.data;
  for (const { message } of parsed.error.issues) context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const unixScheme = 'unix:';

const socketFields = {
  name: nameField,
  address: listenAddressField,
  reusePort: z.boolean().default(false),
  // An open descriptor per connection on each side; the usual limit of a process is 65,536 of them.
  connectionsMax: z.int().min(1).max(1_000_000).default(20_000),
  /** Of one IPv4 address, or one /64 of IPv6. Without it only `connectionsMax` bounds a source. */
  connectionsPerSourceMax: z.int().min(1).max(1_000_000).optional(),
  proxyProtocol: z.strictObject({ from: rangesField }).optional(),
  originalDestination: z.boolean().default(false),
};

// They are tried one after the other for each connection.
const chainsMax = 256;

/** A listener is one chain itself, or has a list of them. */
export const listenerSchema = z
  .strictObject({
    ...socketFields,
    ...chainFields,
    protocol: chainFields.protocol.optional(),
    filterChains: z.array(chainSchema).min(1).max(chainsMax).optional(),
  })
  .superRefine((listener, context) => {
    if (isUnix(listener.address)) {
      for (const key of addressKeys) {
        if (listener[key] === undefined || listener[key] === false) continue;
        const message = 'a Unix socket has no addresses and no port';
        context.addIssue({ code: 'custom', path: [key], message });
      }
    }
    if (listener.filterChains === undefined) checkChain(listener, context);
    else checkOnlyChains({ ...listener, filterChains: listener.filterChains }, context);
  });

/**
 * The chains of a listener in their order; one that has no list is its only chain itself. It may be asked
 * of a listener with faults, so that a whole file is checked at once.
 */
export function chainsOf(listener: ListenerConfig): readonly ChainConfig[] {
  const { filterChains, protocol = 'tcp', ...own } = listener;
  const chains = filterChains ?? [{ ...own, protocol, match: {} }];
  return chains.map((chain) => ({ ...chain, mode: modeOf(chain) }));
}

/** Of an address with a fault nothing is known. */
function isUnix(address: unknown): boolean {
  return typeof address === 'object' && address !== null && 'path' in address;
}

function checkOnlyChains(
  listener: WrittenChain & { readonly filterChains: readonly { readonly name: string }[] },
  context: z.RefinementCtx,
): void {
  for (const key of chainKeys) {
    if (listener[key] === undefined) continue;
    const message = 'it belongs into the filter chains';
    context.addIssue({ code: 'custom', path: [key], message });
  }
  const names = new Set<string>();
  listener.filterChains.forEach(({ name }, at) => {
    if (names.has(name)) {
      const message = `${name} is there twice`;
      context.addIssue({ code: 'custom', path: ['filterChains', at, 'name'], message });
    }
    names.add(name);
  });
}

const addressKeys = [
  'proxyProtocol',
  'reusePort',
  'connectionsPerSourceMax',
  'originalDestination',
] as const;

const chainKeys = [
  'mode',
  'tls',
  'plaintext',
  'protocol',
  'routes',
  'cluster',
  'opaquePorts',
  'serverFirstPorts',
  'upgrades',
  'grpcWeb',
  'connect',
] as const;
