/** The admin API's client: what the CLI and the console use, and nothing else. */

import type { z } from 'zod';
import {
  type ArchiveMarkRequest,
  archiveMarkSchema,
  type ArchiveMarkView,
  type AuditFilterQuery,
  type AuditMatches,
  auditMatchesSchema,
  type CheckpointView,
  checkpointSchema,
  type HeldList,
  heldListSchema,
  type HeldQuery,
} from './audit.ts';
import {
  authorityListSchema,
  authoritySchema,
  type AuthorityList,
  type AuthorityView,
  type RotationPlan,
  rotationPlanSchema,
} from './authorities.ts';
import { type FederatedBundlesClient, federatedBundlesClient } from './federated-bundles.ts';
import {
  type ExplainPolicy,
  type MintedJwtView,
  type MintJwt,
  mintedJwtSchema,
  type PolicyView,
  policySchema,
  verdictSchema,
  type VerdictView,
} from './policies.ts';
import { AdminError } from './problem.ts';
import {
  type AdminCaller,
  type PageOf,
  type RegistryClient,
  registryClient,
} from './registry-client.ts';
import {
  type RevocationList,
  revocationListSchema,
  type Revoke,
  type RevokedView,
  revokedSchema,
  type UnblockedView,
  unblockedSchema,
} from './revocations.ts';
import { type SecretsClient, secretsClient } from './secrets.ts';
import {
  type AuditList,
  auditListSchema,
  type StatusQuery,
  statusSchema,
  type StatusView,
} from './status.ts';
import { type AdminTarget, transportTo } from './transport.ts';

/** Every method throws {@link AdminError}: the server's refusal, or `admin_unreachable`. */
export interface AdminClient extends RegistryClient, SecretsClient, FederatedBundlesClient {
  /** With `query`, who holds which secret is told of one node or one identity. */
  status(query?: StatusQuery): Promise<StatusView>;
  /** The bundle as a SPIFFE JWKS document, as text. */
  bundle(): Promise<string>;
  listAuthorities(): Promise<AuthorityList>;
  /** A new root, or a JWT key, in the bundle at once. */
  prepareAuthority(tier?: 'root' | 'jwt'): Promise<AuthorityView>;
  activateAuthority(id: string, force: boolean): Promise<AuthorityView>;
  retireAuthority(id: string, force: boolean): Promise<AuthorityView>;
  abortAuthority(id: string): Promise<AuthorityView>;
  taintAuthority(id: string): Promise<AuthorityView>;
  revokeAuthority(id: string, force: boolean): Promise<AuthorityView>;
  /** Each step of a root rotation, and when it is safe. */
  planRotation(): Promise<RotationPlan>;
  revoke(revoke: Revoke): Promise<RevokedView>;
  /** The newest first, page by page; blocks and signed lists are on the first page. */
  listRevocations(page?: PageOf): Promise<RevocationList>;
  unblock(spiffeId: string): Promise<UnblockedView>;
  policy(): Promise<PolicyView>;
  reloadPolicy(): Promise<PolicyView>;
  explainPolicy(question: ExplainPolicy): Promise<VerdictView>;
  mintJwt(mint: MintJwt): Promise<MintedJwtView>;
  /** The OpenAPI document of what this CA serves, as text. */
  openApi(): Promise<string>;
  /** Records from index `from` on, oldest first; a negative `from` counts back from the end. */
  audit(page: { from: number; limit?: number }): Promise<AuditList>;
  queryAudit(filter: AuditFilterQuery): Promise<AuditMatches>;
  /** Who could have held an identity between two times. */
  whoHeld(question: HeldQuery): Promise<HeldList>;
  auditCheckpoint(): Promise<CheckpointView>;
  /** Has the CA record and sign that a segment of its log was copied elsewhere. */
  signArchiveMark(segment: ArchiveMarkRequest): Promise<ArchiveMarkView>;
}

/** A client for a CA: the path of its admin socket, or a target of any kind. Throws SocketPathError. */
export function adminClient(target: string | AdminTarget): AdminClient {
  const send = transportTo(typeof target === 'string' ? { kind: 'unix', path: target } : target);
  const get = (path: string): Promise<string> => send('GET', path);
  const post = (path: string, body: unknown): Promise<string> => send('POST', path, body);
  const call: AdminCaller = async (method, path, answer, body) =>
    read(answer, await send(method, path, body));
  const part = encodeURIComponent;
  return {
    ...registryClient(call, send),
    ...secretsClient(call),
    ...federatedBundlesClient(call, get),
    status: async (narrowed = {}) =>
      read(statusSchema, await get(`/v1/status${query({ ...narrowed })}`)),
    policy: async () => read(policySchema, await get('/v1/policies')),
    reloadPolicy: async () => read(policySchema, await post('/v1/policies/reload', {})),
    explainPolicy: async (question) =>
      read(verdictSchema, await post('/v1/policies/explain', question)),
    mintJwt: async (mint) => read(mintedJwtSchema, await post('/v1/jwt-svids', mint)),
    bundle: () => get('/v1/bundle'),
    listAuthorities: async () => read(authorityListSchema, await get('/v1/authorities')),
    prepareAuthority: async (tier = 'root') =>
      read(authoritySchema, await post('/v1/authorities/prepare', { tier })),
    activateAuthority: async (id, force) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/activate`, { force })),
    retireAuthority: async (id, force) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/retire`, { force })),
    abortAuthority: async (id) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/abort`, {})),
    taintAuthority: async (id) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/taint`, {})),
    revokeAuthority: async (id, force) =>
      read(authoritySchema, await post(`/v1/authorities/${part(id)}/revoke`, { force })),
    planRotation: async () => read(rotationPlanSchema, await get('/v1/authorities/plan')),
    revoke: async (revoke) => read(revokedSchema, await post('/v1/revocations', revoke)),
    listRevocations: async (page = {}) =>
      read(revocationListSchema, await get(`/v1/revocations${query({ ...page })}`)),
    unblock: async (spiffeId) =>
      read(unblockedSchema, await post('/v1/revocations/unblock', { spiffeId })),
    openApi: () => get('/v1/openapi.json'),
    audit: async (page) => read(auditListSchema, await get(`/v1/audit${query(page)}`)),
    queryAudit: async (filter) =>
      read(auditMatchesSchema, await get(`/v1/audit/query${query(filter)}`)),
    whoHeld: async (question) =>
      read(heldListSchema, await get(`/v1/audit/held${query(question)}`)),
    auditCheckpoint: async () => read(checkpointSchema, await get('/v1/audit/checkpoint')),
    signArchiveMark: async (segment) =>
      read(archiveMarkSchema, await post('/v1/audit/archive-marks', segment)),
  };
}

function read<Schema extends z.ZodType>(schema: Schema, text: string): z.output<Schema> {
  const result = schema.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  throw new AdminError(
    'internal',
    'admin_answer',
    `the CA's answer is not understood: ${result.error.message}`,
  );
}

function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) search.set(key, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}
