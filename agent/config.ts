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
    readonly address: { readonly host: string; readonly port: number };
    readonly trust: CaTrust;
  };
  readonly socket: string;
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

const caField = z
  .strictObject({
    address: addressField,
    rootSha256: z.string().optional(),
    bundle: z.string().min(1).optional(),
  })
  .transform(({ address, rootSha256, bundle }, context): AgentConfig['ca'] => {
    const fault = (message: string, path: string[] = []): never => {
      context.addIssue({ code: 'custom', message, path });
      return z.NEVER;
    };
    if (rootSha256 !== undefined && bundle === undefined) {
      // With colons it is what `openssl x509 -fingerprint` prints.
      const sha256 = rootSha256.replaceAll(':', '').toLowerCase();
      if (!/^[0-9a-f]{64}$/.test(sha256)) return fault('is not a SHA-256 in hex', ['rootSha256']);
      return { address, trust: { kind: 'root_sha256', sha256 } };
    }
    if (bundle !== undefined && rootSha256 === undefined) {
      return { address, trust: { kind: 'bundle_file', path: bundle } };
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

const settingsSchema = z.strictObject({
  trustDomain: trustDomainField,
  ca: caField,
  socket: socketPathField.default('/run/signet/agent.sock'),
  join: joinField.optional(),
  attest: z.strictObject({ x509pop: x509popField }).optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

const agentSchema = settingsSchema.transform(
  ({ join, attest, ...settings }, context): AgentConfig => {
    if (join !== undefined && attest === undefined) return { ...settings, join };
    if (attest !== undefined && join === undefined) return { ...settings, attest };
    context.addIssue({
      code: 'custom',
      message: 'give either join or attest: how the node is attested',
    });
    return z.NEVER;
  },
);
