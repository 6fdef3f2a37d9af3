/** The port of a workload attestor: a process in, selectors out. */

import type { UnixCaller } from '../../rpc/index.ts';

export interface WorkloadAttestor {
  /** The first part of its selectors, such as `unix`. */
  readonly name: string;
  /** Throws AgentError if the caller is not, or is no longer, the process that connected. */
  attest(caller: UnixCaller): Promise<WorkloadAttestation>;
}

export interface WorkloadAttestation {
  readonly selectors: readonly string[];
  /** Selectors too dear to find for every caller: asked for only if an entry has one with this prefix. */
  readonly costly: CostlySelectors | undefined;
}

export interface CostlySelectors {
  readonly prefix: string;
  /** Does not throw for what cannot be found; it is then left out. */
  find(): Promise<readonly string[]>;
}
