/** What the admin port may see of a proxy. */

import type { TlsMaterial } from '../net/mtls/tls-material.ts';
import type { ListenerCounters } from '../proxy/stats.ts';
import type { SecretStatus } from '../sds/sds-client.ts';
import type { PoolStats } from '../stream/pool.ts';

export interface BoundListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly protocol: string;
  readonly tls: boolean;
}

export interface StatsView {
  readonly pid: number;
  readonly uptimeMs: number;
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number };
  readonly listeners: Readonly<Record<string, ListenerCounters>>;
  readonly clusters: Readonly<Record<string, PoolStats>>;
  readonly secrets: readonly SecretStatus[];
  /** How often the TLS material was swapped. */
  readonly tlsGeneration: number;
  readonly accessLogDropped: number;
}

export interface ProxyView {
  nowMs(): number;
  /** Undefined as long as there is none. */
  material(): TlsMaterial | undefined;
  /** Whether any listener or cluster speaks TLS. */
  needsTls(): boolean;
  isDraining(): boolean;
  listeners(): readonly BoundListener[];
  stats(): StatsView;
}
