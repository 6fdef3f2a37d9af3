/** The CA's configuration file. */

import { join } from 'node:path';
import { z } from 'zod';
import {
  addressField,
  checkSocketPath,
  ConfigError,
  durationField,
  parseConfig,
  SocketPathError,
  socketPathField,
} from '../core/index.ts';
import { parseTrustDomain, type TrustDomain, TrustDomainError } from '../spiffe/index.ts';
import { roleRuleField, type RoleRule, strangerTo } from './admin/admin-roles.ts';
import type { AttestorsConfig } from './attestation/load-attestors.ts';
import type { KeyEncryptionKeySource } from './authority/key-encryption-key.ts';
import { defaultLifetimes, type Lifetimes } from './authority/lifetimes.ts';
import { rotationPolicyOf, type RotationPolicy } from './authority/rotation-policy.ts';
import type { UpstreamSource } from './authority/load-upstream.ts';
import { type Limits, limitsField } from './guards/limits.ts';
import { signingWorkersMax } from './issuance/signing-workers.ts';
import { type JwtConfig, jwtConfigOf, jwtField } from './jwt/jwt-config.ts';
import { type OidcConfig, oidcField } from './oidc/oidc-config.ts';

export interface CaConfig {
  readonly trustDomain: TrustDomain;
  /** Holds `store/` and `audit/`. */
  readonly data: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly adminSocket: string;
  /** The admin API over mutual TLS; absent: only the socket. */
  readonly admin?:
    | {
        readonly listen: { readonly host: string; readonly port: number };
        readonly roles: readonly RoleRule[];
      }
    | undefined;
  /** Plain HTTP for a scraper and for probes; absent: `/metrics` is on the admin API alone. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined;
  readonly keyEncryptionKey: KeyEncryptionKeySource;
  readonly lifetimes: Lifetimes;
  readonly rotation: RotationPolicy;
  /** The operator's own root above our issuing authorities. */
  readonly upstream?: UpstreamSource;
  /** How nodes may be attested, beside join tokens. */
  readonly attestors: AttestorsConfig;
  /** A policy document that judges what is issued; absent: everything that the registry grants. */
  readonly policy?: string | undefined;
  readonly jwt: JwtConfig;
  /** OIDC discovery for JWT-SVIDs; absent: none, and tokens have no `iss`. */
  readonly oidc?: OidcConfig | undefined;
  /** How much it takes on at once; over it, agents are told when to come again. */
  readonly limits: Limits;
  /** How long session-ticket keys are the newest; they open tickets for two epochs more. */
  readonly ticketEpochMs: number;
  /** Threads that signatures may keep busy; 0: the main thread makes them; absent: by the machine's cores. */
  readonly signingWorkers?: number | undefined;
  /** How far the clock may go back before certificates are refused, and ahead before steps wait for it. */
  readonly clockToleranceMs: number;
  /** How large a segment of the audit log grows before it is sealed; absent: 64 MiB. */
  readonly auditSegmentBytes?: number | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** Throws ConfigError with every fault of the text. Contradictions between lifetimes are `startCa`'s. */
export function parseCaConfig(text: string, fileName: string): CaConfig {
  const {
    lifetimes: given,
    jwt,
    rotation,
    upstream,
    adminSocket,
    clockTolerance,
    ticketEpoch,
    ...rest
  } = parseConfig(text, fileName, schema);
  const socket = adminSocket ?? join(rest.data, 'admin.sock');
  try {
    checkSocketPath(socket);
  } catch (error) {
    if (!(error instanceof SocketPathError)) throw error;
    throw new ConfigError(fileName, [
      { path: 'adminSocket', line: 1, column: 1, reason: `${error.message}; set adminSocket` },
    ]);
  }
  const lifetimes: Lifetimes = {
    rootMs: given?.root ?? defaultLifetimes.rootMs,
    issuingMs: given?.issuing ?? defaultLifetimes.issuingMs,
    x509SvidMs: given?.x509Svid ?? defaultLifetimes.x509SvidMs,
    nodeSvidMs: given?.nodeSvid ?? defaultLifetimes.nodeSvidMs,
    backdateMs: given?.backdate ?? defaultLifetimes.backdateMs,
  };
  return {
    ...rest,
    adminSocket: socket,
    clockToleranceMs: clockTolerance,
    ticketEpochMs: ticketEpoch,
    lifetimes,
    jwt: jwtConfigOf(jwt, lifetimes.issuingMs),
    rotation: rotationPolicyOf(rotation ?? {}, lifetimes),
    ...(upstream === undefined ? {} : { upstream }),
  };
}

const trustDomainField = z.string().transform((text, context): TrustDomain => {
  try {
    return parseTrustDomain(text);
  } catch (error) {
    if (!(error instanceof TrustDomainError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
});

const absolutePathField = z
  .string()
  .refine((path) => path.startsWith('/'), { message: 'must be an absolute path' });

const fields = z.strictObject({
  trustDomain: trustDomainField,
  data: absolutePathField,
  listen: addressField.default({ host: '::', port: 7443 }),
  adminSocket: socketPathField.optional(),
  admin: z
    .strictObject({
      listen: addressField,
      roles: z.array(roleRuleField).min(1).max(1000),
    })
    .optional(),
  metrics: addressField.optional(),
  keyEncryptionKey: z.union(
    [z.strictObject({ file: absolutePathField }), z.strictObject({ env: z.string().min(1) })],
    { error: 'say where it is: { file: /path } or { env: NAME }' },
  ),
  lifetimes: z
    .strictObject({
      root: durationField.optional(),
      issuing: durationField.optional(),
      x509Svid: durationField.optional(),
      nodeSvid: durationField.optional(),
      backdate: durationField.optional(),
    })
    .optional(),
  rotation: z
    .strictObject({
      threshold: z.number().gt(0).max(1).optional(),
      deadline: durationField.optional(),
      automatic: z.boolean().optional(),
    })
    .optional(),
  upstream: z
    .union(
      [
        z.strictObject({ certificate: absolutePathField, key: absolutePathField }),
        z.strictObject({
          certificate: absolutePathField,
          key: absolutePathField,
          passwordFile: absolutePathField,
        }),
        z.strictObject({
          certificate: absolutePathField,
          key: absolutePathField,
          passwordEnv: z.string().min(1),
        }),
        z.strictObject({ pkcs12: absolutePathField, passwordFile: absolutePathField }),
        z.strictObject({ pkcs12: absolutePathField, passwordEnv: z.string().min(1) }),
      ],
      {
        error:
          'give { certificate, key } (and passwordFile or passwordEnv if the key is encrypted), { pkcs12, passwordFile } or { pkcs12, passwordEnv }, with absolute paths',
      },
    )
    .optional(),
  attestors: z
    .strictObject({ x509pop: z.strictObject({ caBundle: absolutePathField }).optional() })
    .default({}),
  policy: absolutePathField.optional(),
  jwt: jwtField,
  oidc: oidcField.optional(),
  limits: limitsField,
  signingWorkers: z.int().min(0).max(signingWorkersMax).optional(),
  // NTP slews below a second and steps above; a restored virtual machine is off by hours.
  clockTolerance: durationField.default(5000),
  // Long enough that clients come back with a ticket, short enough that a stolen key opens little.
  ticketEpoch: durationField.default(12 * 3_600_000),
  // Below the first, a segment would hold a single record of the largest size; above the second, a start takes seconds.
  auditSegmentBytes: z
    .int()
    .min(64 * 1024)
    .max(1024 ** 3)
    .optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

const schema = fields.superRefine(({ trustDomain, admin }, context) => {
  for (const [index, rule] of (admin?.roles ?? []).entries()) {
    const stranger = strangerTo(trustDomain, rule);
    if (stranger === undefined) continue;
    const message = `${stranger} is not this CA's trust domain ${trustDomain}: nobody there can call its admin API`;
    context.addIssue({ code: 'custom', path: ['admin', 'roles', index, 'spiffeId'], message });
  }
});
