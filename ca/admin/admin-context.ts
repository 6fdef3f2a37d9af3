/** What every route of the admin API works with, and how a body or a query becomes a value. */

import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { AdminError } from '../../api/index.ts';
import type { Clock } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Authorities } from '../authority/authorities.ts';
import type { Lifetimes } from '../authority/lifetimes.ts';
import type { PrometheusMetrics } from '../metrics/prometheus-metrics.ts';
import type { ConnectedNodes } from '../node-api/connected-nodes.ts';
import type { Registry } from '../registry/registry.ts';
import type { Store } from '../store/store.ts';
import { actorOfSocket } from './admin-actor.ts';

export interface AdminDeps {
  readonly trustDomain: TrustDomain;
  readonly lifetimes: Lifetimes;
  readonly clock: Clock;
  readonly store: Pick<Store, 'revision'>;
  readonly authorities: Authorities;
  readonly registry: Registry;
  readonly counts: () => { readonly entries: number; readonly nodes: number };
  readonly connected: ConnectedNodes;
  readonly audit: AuditLog;
  /** Where the log's files are. */
  readonly auditDirectory: string;
  readonly startedAtMs: number;
  readonly version: string;
  readonly agentAddress: string;
  readonly issued: () => number;
  readonly metrics: Pick<PrometheusMetrics, 'text' | 'contentType'>;
}

export function actorOf(request: FastifyRequest): Actor {
  return actorOfSocket(request.raw.socket);
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
