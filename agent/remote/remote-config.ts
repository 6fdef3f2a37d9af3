/** The configuration of `signet sds-server run`: a node's, with an address to listen on and what callers may take. */

import { z } from 'zod';
import { addressField, type LogLevel, parseConfig } from '../../core/index.ts';
import {
  adminSocketField,
  type CaTrust,
  faultsOfCache,
  type NodeAttestationConfig,
  nodeFields,
} from '../config.ts';
import { type CacheConfig, cacheField } from '../sealed-cache/cache-config.ts';
import { type SdsConfig, sdsField } from '../sds-config.ts';
import type { TrustDomain } from '../../spiffe/index.ts';

export interface RemoteLimits {
  /** Connections of all callers, handshakes under way among them. */
  readonly connections: number;
  readonly connectionsPerCaller: number;
  readonly streamsPerCaller: number;
  /** Requests and acknowledgements, on all streams of a caller. */
  readonly requestsPerSecondPerCaller: number;
  readonly requestsPerSecond: number;
}

interface RemoteSettings {
  readonly trustDomain: TrustDomain;
  readonly ca: {
    readonly addresses: readonly { readonly host: string; readonly port: number }[];
    readonly trust: CaTrust;
  };
  readonly listen: { readonly host: string; readonly port: number };
  readonly limits: RemoteLimits;
  /** For operators; undefined: there is none. */
  readonly adminSocket: string | undefined;
  /** What the default place of the sealed cache is named after. */
  readonly socket: string;
  readonly cache: CacheConfig;
  readonly sds: SdsConfig;
  readonly logLevel: LogLevel;
}

export type RemoteSdsConfig = RemoteSettings & NodeAttestationConfig;

/**
 * Throws ConfigError with every fault of the text.
 *
 * @example
 * parseRemoteSdsConfig(`
 *   trustDomain: mesh.test
 *   ca: { address: 10.0.0.1:7443, rootSha256: 9f86… }
 *   join: { tokenFile: /etc/signet/join-token }
 *   listen: 0.0.0.0:7445
 * `, 'sds-server.yaml');
 */
export function parseRemoteSdsConfig(text: string, fileName: string): RemoteSdsConfig {
  return parseConfig(text, fileName, remoteSchema);
}

// Some megabytes each at the most, with a stream and a slow reader: the bound that memory sets.
const connectionsDefault = 10_000;
// A sidecar has one, and a second for the moment in which it changes its certificate; replicas share an identity.
const connectionsPerCallerDefault = 64;
// An Envoy opens a stream for each secret.
const streamsPerCallerDefault = 256;
// A rotation is one acknowledgement a stream, all at once: bursts are four times this.
const requestsPerCallerDefault = 100;
// What one core answers, with room for the pushes.
const requestsDefault = 5_000;

const countField = z.number().int().min(1).max(1_000_000);
const limitsField = z
  .strictObject({
    connections: countField.default(connectionsDefault),
    connectionsPerCaller: countField.default(connectionsPerCallerDefault),
    streamsPerCaller: countField.default(streamsPerCallerDefault),
    requestsPerSecondPerCaller: countField.default(requestsPerCallerDefault),
    requestsPerSecond: countField.default(requestsDefault),
  })
  .prefault({});

// An agent on the same machine has its own beside it.
const adminSocketDefault = '/run/signet/sds-server-admin.sock';

const remoteSchema = z
  .strictObject({
    ...nodeFields,
    listen: addressField,
    limits: limitsField,
    adminSocket: adminSocketField.default(adminSocketDefault),
    cache: cacheField,
    sds: sdsField,
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  })
  .transform(({ join, attest, adminSocket: asked, ...given }, context): RemoteSdsConfig => {
    const adminSocket = asked === 'off' || asked === false ? undefined : asked;
    const socket = adminSocket ?? adminSocketDefault;
    if (faultsOfCache({ ...given, socket }, context)) return z.NEVER;
    const settings = { ...given, adminSocket, socket };
    if (join !== undefined && attest === undefined) return { ...settings, join };
    if (attest !== undefined && join === undefined) return { ...settings, attest };
    context.addIssue({
      code: 'custom',
      message: 'give either join or attest: how the node is attested',
    });
    return z.NEVER;
  });
