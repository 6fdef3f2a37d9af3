/** The agent's configuration: YAML in, a frozen value out, every fault at once. */

import { z } from 'zod';
import {
  addressField,
  type LogLevel,
  parseConfig,
  readText,
  socketPathField,
} from '../core/index.ts';
import { parseTrustDomain, type TrustDomain, TrustDomainError } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import { type CacheConfig, cacheField } from './sealed-cache/cache-config.ts';
import { isWithSocket, privatePlaceOf } from './sealed-cache/private-place.ts';
import type { WorkloadApiConfig } from './workload-api/workload-api.ts';
import { type SdsConfig, sdsField } from './sds-config.ts';
import {
  type WorkloadAttestorsConfig,
  workloadAttestorsField,
} from './workload/attestors-config.ts';

/** How the agent knows the CA before it has the trust domain's bundle. */
export type CaTrust =
  /** SHA-256 of the root certificate's DER, lower hexadecimal. */
  | { readonly kind: 'root_sha256'; readonly sha256: string }
  /** A SPIFFE bundle (JWKS) or PEM certificates. */
  | { readonly kind: 'bundle_file'; readonly path: string };

export type JoinTokenSource =
  | { readonly kind: 'text'; readonly token: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly name: string };

/** How the node is attested: one of the two. */
export type NodeAttestationConfig =
  | { readonly join: JoinTokenSource; readonly attest?: never }
  | {
      readonly join?: never;
      /** The machine's certificate and key, from an authority that the CA knows. */
      readonly attest: {
        readonly x509pop: { readonly certificate: string; readonly key: string };
      };
    };

export type AgentConfig = AgentSettings & NodeAttestationConfig;

interface AgentSettings {
  readonly trustDomain: TrustDomain;
  readonly ca: {
    /** One or more; the next is tried when one does not answer. */
    readonly addresses: readonly { readonly host: string; readonly port: number }[];
    readonly trust: CaTrust;
  };
  readonly socket: string;
  /** For operators; undefined: there is none. */
  readonly adminSocket: string | undefined;
  readonly workloadAttestors: WorkloadAttestorsConfig;
  /** Which profiles of the Workload API are served. */
  readonly workloadApi: WorkloadApiConfig;
  readonly cache: CacheConfig;
  readonly sds: SdsConfig;
  readonly logLevel: LogLevel;
}

/**
 * Throws ConfigError with every fault of the text.
 *
 * @example
 * parseAgentConfig(`
 *   trustDomain: mesh.test
 *   ca: { address: 127.0.0.1:7443, rootSha256: 9f86… }
 *   socket: /run/signet/agent.sock
 *   join: { tokenFile: /etc/signet/join-token }
 * `, 'agent.yaml');
 */
export function parseAgentConfig(text: string, fileName: string): AgentConfig {
  return parseConfig(text, fileName, agentSchema);
}

/** The token's text. Throws {@link AgentError} or FileError that names where it was looked for. */
export async function readJoinToken(
  source: JoinTokenSource,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [place, text] = await joinTokenText(source, environment);
  const token = text?.trim() ?? '';
  if (token !== '') return token;
  throw new AgentError('join_token_missing', 'failed_precondition', `no join token in ${place}`, {
    remedy: 'make one with: signet token create',
  });
}

async function joinTokenText(
  source: JoinTokenSource,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly [place: string, text: string | undefined]> {
  if (source.kind === 'text') return ['join.token', source.token];
  if (source.kind === 'file') return [source.path, await readText(source.path)];
  return [`the environment variable ${source.name}`, environment[source.name]];
}

const trustDomainField = z.string().transform((text, context): TrustDomain => {
  try {
    return parseTrustDomain(text);
  } catch (error) {
    if (!(error instanceof TrustDomainError)) throw error;
    context.addIssue({
      code: 'custom',
      message: `${JSON.stringify(text)} is not a trust domain: ${error.message}`,
    });
    return z.NEVER;
  }
});

// Replicas of one CA; each is a try of up to ten seconds.
const caAddressesMax = 16;
const caField = z
  .strictObject({
    address: addressField.optional(),
    addresses: z.array(addressField).min(1).max(caAddressesMax).optional(),
    rootSha256: z.string().optional(),
    bundle: z.string().min(1).optional(),
  })
  .transform(({ address, addresses: several, rootSha256, bundle }, context): AgentConfig['ca'] => {
    const fault = (message: string, path: string[] = []): never => {
      context.addIssue({ code: 'custom', message, path });
      return z.NEVER;
    };
    if ((address === undefined) === (several === undefined)) {
      return fault('give either address or addresses: where the CA is');
    }
    const addresses = several ?? (address === undefined ? [] : [address]);
    if (rootSha256 !== undefined && bundle === undefined) {
      // With colons it is what `openssl x509 -fingerprint` prints.
      const sha256 = rootSha256.replaceAll(':', '').toLowerCase();
      if (!/^[0-9a-f]{64}$/.test(sha256)) return fault('is not a SHA-256 in hex', ['rootSha256']);
      return { addresses, trust: { kind: 'root_sha256', sha256 } };
    }
    if (bundle !== undefined && rootSha256 === undefined) {
      return { addresses, trust: { kind: 'bundle_file', path: bundle } };
    }
    return fault('give either rootSha256 or bundle: the agent must know its CA beforehand');
  });

const joinField = z
  .strictObject({
    token: z.string().min(1).optional(),
    tokenFile: z.string().min(1).optional(),
    tokenEnv: z.string().min(1).optional(),
  })
  .transform(({ token, tokenFile, tokenEnv }, context): JoinTokenSource => {
    const given: JoinTokenSource[] = [];
    if (token !== undefined) given.push({ kind: 'text', token });
    if (tokenFile !== undefined) given.push({ kind: 'file', path: tokenFile });
    if (tokenEnv !== undefined) given.push({ kind: 'environment', name: tokenEnv });
    const [only] = given;
    if (only !== undefined && given.length === 1) return only;
    context.addIssue({ code: 'custom', message: 'give one of token, tokenFile or tokenEnv' });
    return z.NEVER;
  });

const pathField = z.string().min(1);
const x509popField = z.strictObject({ certificate: pathField, key: pathField });

/** What every program says that is attested as a node. */
export const nodeFields = {
  trustDomain: trustDomainField,
  ca: caField,
  join: joinField.optional(),
  attest: z.strictObject({ x509pop: x509popField }).optional(),
};

/** `off`, or where operators ask. */
export const adminSocketField = z.union([z.literal(['off', false]), socketPathField]);

const settingsSchema = z.strictObject({
  ...nodeFields,
  socket: socketPathField.default('/run/signet/agent.sock'),
  adminSocket: adminSocketField.optional(),
  workloadAttestors: workloadAttestorsField,
  // both are mandatory, and an operator may switch either off.
  workloadApi: z
    .strictObject({ x509: z.boolean().default(true), jwt: z.boolean().default(true) })
    .prefault({}),
  cache: cacheField,
  sds: sdsField,
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

const agentSchema = settingsSchema.transform(
  ({ join, attest, adminSocket: asked, ...given }, context): AgentConfig => {
    const adminSocket =
      asked === 'off' || asked === false ? undefined : (asked ?? besideSocket(given.socket));
    // The system's bound is for the longer name too.
    if (adminSocket !== undefined && !socketPathField.safeParse(adminSocket).success) {
      const message = `${adminSocket} is too long for a socket: give a shorter path, or off`;
      context.addIssue({ code: 'custom', message, path: ['adminSocket'] });
      return z.NEVER;
    }
    if (faultsOfCache(given, context)) return z.NEVER;
    const settings = { ...given, adminSocket };
    if (join !== undefined && attest === undefined) return { ...settings, join };
    if (attest !== undefined && join === undefined) return { ...settings, attest };
    context.addIssue({
      code: 'custom',
      message: 'give either join or attest: how the node is attested',
    });
    return z.NEVER;
  },
);

/** Containers are given the socket's directory, and their root may read what lies in it. */
export function faultsOfCache(
  { cache, socket }: Pick<AgentConfig, 'cache' | 'socket'>,
  context: z.RefinementCtx,
): boolean {
  if (cache.kind === 'off') return false;
  const place = privatePlaceOf(socket);
  const paths = [{ at: ['cache', 'path'], path: cache.path ?? place.cache, instead: place.cache }];
  if (cache.key.kind === 'file') {
    paths.push({ at: ['cache', 'key', 'file'], path: cache.key.path, instead: place.key });
  }
  const exposed = paths.filter(({ path }) => isWithSocket(path, socket));
  for (const { at, path, instead } of exposed) {
    const message = `${path} is in the directory of the socket, which containers are given: use another, such as ${instead}`;
    context.addIssue({ code: 'custom', message, path: at });
  }
  return exposed.length > 0;
}

/** `/run/signet/agent-admin.sock` for `/run/signet/agent.sock`: agents with sockets of their own do not collide. */
function besideSocket(socket: string): string {
  return `${socket.replace(/\.sock$/, '')}-admin.sock`;
}
