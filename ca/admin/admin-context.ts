/** What every route of the admin API works with, and how a body or a query becomes a value. */

import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { AdminError } from '../../api/index.ts';
import type { Clock, Random } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { ArchiveMarker } from '../audit-memory/remembered-log.ts';
import type { Authorities } from '../authority/authorities.ts';
import type { ClockJudgement } from '../authority/clock-trust.ts';
import type { RotatingJwtKeys } from '../authority/jwt-keys.ts';
import type { Lifetimes } from '../authority/lifetimes.ts';
import type { ForeignBundles } from '../federation/foreign-bundles.ts';
import type { IssuanceGate } from '../guards/gate.ts';
import type { PolicyFile } from '../issuance/policy-file.ts';
import type { SubjectDeps } from '../issuance/profile.ts';
import type { MintDeps } from '../jwt/mint-jwt-svid.ts';
import type { PrometheusMetrics } from '../metrics/prometheus-metrics.ts';
import type { Readiness } from '../metrics/readiness.ts';
import type { ConnectedNodes } from '../node-api/connected-nodes.ts';
import type { Registry } from '../registry/registry.ts';
import type { RegistryView } from '../registry/registry-view.ts';
import type { Revocations } from '../revocation/revocations.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import type { Store } from '../store/store.ts';
import type { AdminCaller } from './admin-caller.ts';
import type { Reach } from './admin-roles.ts';

export interface AdminDeps {
  readonly trustDomain: TrustDomain;
  readonly lifetimes: Lifetimes;
  readonly clock: Clock;
  /** Asked before what is past is forgotten. */
  readonly clockJudgement: Pick<ClockJudgement, 'doubt'>;
  readonly random: Random;
  readonly store: Pick<Store, 'revision' | 'range'>;
  readonly authorities: Authorities;
  readonly jwtKeys: RotatingJwtKeys;
  readonly registry: Registry;
  readonly counts: () => { readonly entries: number; readonly nodes: number };
  readonly connected: ConnectedNodes;
  readonly revocations: Revocations;
  readonly foreignBundles: ForeignBundles;
  readonly secrets: SecretStore;
  /** The entry, if this node may serve it; those that rules derive are among them. */
  readonly authorizedEntry: SubjectDeps['authorizedEntry'];
  /** Who has a role by the admin flag of an entry. */
  readonly administrators: Pick<RegistryView, 'givesAdmin' | 'isAdministrator'>;
  readonly policies: PolicyFile;
  readonly jwt: MintDeps;
  readonly gate: Pick<IssuanceGate, 'sign'>;
  readonly audit: AuditLog;
  readonly archiveMarker: ArchiveMarker;
  /** Where the log's files are. */
  readonly auditDirectory: string;
  readonly startedAtMs: number;
  readonly version: string;
  readonly agentAddress: string;
  readonly issued: () => number;
  readonly metrics: Pick<PrometheusMetrics, 'text' | 'contentType' | 'counter' | 'histogram'>;
  readonly readiness: () => Promise<Readiness>;
}

/** Who makes the call. */
export function actorOf(request: FastifyRequest): Actor {
  return admitted.get(request)?.caller.actor ?? nobody;
}

/** The path prefixes that the caller's role reaches in this call; undefined: everything. */
export function reachOf(request: FastifyRequest): readonly string[] | undefined {
  const known = admitted.get(request);
  return known === undefined ? [] : known.paths;
}

/** The same, grant by grant; undefined: everywhere. */
export function reachesOf(request: FastifyRequest): readonly Reach[] | undefined {
  const known = admitted.get(request);
  return known === undefined ? [] : known.reaches;
}

/** Whether the caller may hand out that identity. */
export function mayGive(request: FastifyRequest, spiffeId: string): boolean {
  return admitted.get(request)?.caller.mayGive(spiffeId) ?? false;
}

/** Whether it may hand out every one. */
export function mayGiveAll(request: FastifyRequest): boolean {
  return admitted.get(request)?.caller.mayGiveAll ?? false;
}

/** Once it is decided that the caller may make this call at all. */
export function admit(
  request: FastifyRequest,
  caller: AdminCaller,
  paths: readonly string[] | undefined,
  reaches: readonly Reach[] | undefined,
): void {
  admitted.set(request, { caller, paths, reaches });
}

/** Throws {@link AdminError} `request_invalid` that names every fault. */
export function parseWith<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw new AdminError('invalid_argument', 'request_invalid', faults.join('; '));
}

const admitted = new WeakMap<
  FastifyRequest,
  {
    readonly caller: AdminCaller;
    readonly paths: readonly string[] | undefined;
    readonly reaches: readonly Reach[] | undefined;
  }
>();
const nobody: Actor = { kind: 'admin', id: '' };
