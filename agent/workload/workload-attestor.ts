/** The port of a workload attestor: a process in, selectors out. */

import type { UnixCaller } from '../../rpc/index.ts';

export interface WorkloadAttestor {
  /** The first part of its selectors, such as `unix`. */
  readonly name: string;
  /** How long one attestation may take. */
  readonly deadlineMs: number;
  /** Tells whether the caller is who connected: nothing counts before it has answered. */
  readonly checksCaller?: boolean;
  /**
   * Throws AgentError if the caller is not, or is no longer, the process that connected, or if what is
   * asked about it does not answer. `signal` is aborted at the deadline.
   */
  attest(caller: UnixCaller, signal: AbortSignal): Promise<WorkloadAttestation>;
}

export interface WorkloadAttestation {
  readonly selectors: readonly string[];
  /** Selectors too dear to find for every caller: asked for only if an entry has one with this prefix. */
  readonly costly?: CostlySelectors | undefined;
  /** Asked now and then while the connection lives: false once the selectors rest on what is no more so. */
  readonly holds?: () => Promise<boolean>;
  /** Has `listener` called when the selectors may have changed, until the returned function is called. */
  readonly subscribe?: (listener: () => void) => () => void;
}

export interface CostlySelectors {
  readonly prefix: string;
  /** Does not throw for what cannot be found; it is then left out. */
  find(): Promise<readonly string[]>;
}

/** For what is read from the kernel: it answers in microseconds, or something is badly wrong. */
export const localDeadlineMs = 5_000;
