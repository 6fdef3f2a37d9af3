/** Where the agent's view of itself comes from: read when somebody asks, and never changed here. */

import type { Clock, Watch } from '../../core/index.ts';
import type { SdsClients, SdsControl } from '../../sds-server/index.ts';
import type { CaStanding } from '../ca-standing.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { NodeSvid } from '../node-svid.ts';
import type { SealedCacheStatus } from '../sealed-cache/sealed-cache.ts';
import type { Survival } from '../survival.ts';
import type { EntrySvids } from '../svid/entry-svid.ts';
import type { SvidRefusal } from '../svid/svid-rotation.ts';
import type { AttestorStatus } from '../workload/attestor-runs.ts';
import type { WorkloadAttestor } from '../workload/workload-attestor.ts';
import type { KnownCallers } from './known-callers.ts';

export interface AgentSources {
  readonly trustDomain: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly socket: string;
  readonly caAddress: string;
  readonly clock: Clock;
  readonly standing: Watch<CaStanding>;
  /** With the entries of identities that workloads here derive. */
  readonly state: Watch<CaState | undefined>;
  readonly svids: Watch<EntrySvids>;
  readonly attestors: readonly WorkloadAttestor[];
  readonly attestorStatus: Watch<readonly AttestorStatus[]>;
  readonly callers: KnownCallers;
  readonly sds: { readonly clients: SdsClients; readonly control: SdsControl };
  /** What there is only once the node is attested. */
  readonly attested: () => AttestedSources | undefined;
  /** How the sealed cache stands; absent where there is none. */
  readonly cache?: () => SealedCacheStatus;
}

export interface AttestedSources {
  readonly node: NodeSvid;
  readonly refusals: ReadonlyMap<string, SvidRefusal>;
  readonly survival: Survival;
}

/** Entries for which nothing is held. */
export function missingEntries({ state, svids }: AgentSources): readonly AgentEntry[] {
  const held = svids.current();
  return (state.current()?.entries ?? []).filter(({ id }) => !held.has(id));
}
