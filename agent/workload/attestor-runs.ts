/**
 * Runs all attestors for a caller at once, each with its deadline, and remembers how each of them fares. What
 * the quick ones found may be had before the slow ones have answered.
 */

import {
  type Clock,
  describeError,
  type Logger,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import type { UnixCaller } from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import type { WorkloadAttestation, WorkloadAttestor } from './workload-attestor.ts';

/** For operators: what an attestor did last. */
export interface AttestorStatus {
  readonly name: string;
  readonly lastSuccessMs: number | undefined;
  readonly lastFailure: { readonly atMs: number; readonly reason: string } | undefined;
  readonly failing: boolean;
  readonly failureCount: number;
  /** The last caller that it would not speak for, such as one whose cgroups give two answers. */
  readonly lastRefusal: { readonly atMs: number; readonly reason: string } | undefined;
}

export interface AttestorRun {
  readonly attestations: readonly WorkloadAttestation[];
  /** Some attestor could not say: what it would have added is missing for now. */
  readonly partial: boolean;
}

export interface AttestorRuns {
  /**
   * Throws AgentError if the caller is not who connected, or if no attestor could say anything. `onEarly` is
   * called once with what is there when some have been waited for long enough. An early answer gives no
   * identity that the whole one refuses: each attestor adds selectors of its own kind and takes none away, and
   * whoever checks that the caller is who connected has answered.
   */
  run(caller: UnixCaller, onEarly?: (run: AttestorRun) => void): Promise<AttestorRun>;
  readonly status: Watch<readonly AttestorStatus[]>;
}

export interface AttestorRunsDeps {
  readonly attestors: readonly WorkloadAttestor[];
  readonly clock: Clock;
  readonly log: Logger;
}

export function createAttestorRuns(deps: AttestorRunsDeps): AttestorRuns {
  const status = new WatchSource<readonly AttestorStatus[]>(
    deps.attestors.map(({ name }) => ({
      name,
      lastSuccessMs: undefined,
      lastFailure: undefined,
      failing: false,
      failureCount: 0,
      lastRefusal: undefined,
    })),
  );
  const note = (name: string, change: (was: AttestorStatus) => AttestorStatus): void =>
    status.set(status.current().map((was) => (was.name === name ? change(was) : was)));

  const succeeded = (name: string): void => {
    note(name, (was) => {
      if (was.failing) deps.log.info('a workload attestor works again', { attestor: name });
      return { ...was, lastSuccessMs: deps.clock.wallMs(), failing: false };
    });
  };
  const failed = (name: string, reason: string): void => {
    note(name, (was) => {
      // Once, not for every caller: the status tells the rest.
      if (!was.failing) deps.log.warn('a workload attestor fails', { attestor: name, reason });
      const lastFailure = { atMs: deps.clock.wallMs(), reason };
      return { ...was, lastFailure, failing: true, failureCount: was.failureCount + 1 };
    });
  };
  const refused = (name: string, reason: string): void => {
    note(name, (was) => {
      if (was.lastRefusal?.reason !== reason) {
        deps.log.warn('a workload attestor refuses a caller', { attestor: name, reason });
      }
      return { ...was, lastRefusal: { atMs: deps.clock.wallMs(), reason } };
    });
  };
  return {
    status,
    async run(caller, onEarly) {
      const running = deps.attestors.map((attestor) => attestWithin(attestor, caller, deps.clock));
      const stop = onEarly === undefined ? () => {} : watchEarly(deps, running, onEarly);
      const results = await Promise.allSettled(running);
      stop();
      const attestations: WorkloadAttestation[] = [];
      const errors: unknown[] = [];
      for (const [index, result] of results.entries()) {
        const name = deps.attestors[index]?.name ?? '';
        if (result.status === 'fulfilled') {
          attestations.push(result.value);
          succeeded(name);
          continue;
        }
        // Not the attestor's failure, and nothing that another could make good.
        if (isOfCaller(result.reason)) throw result.reason;
        errors.push(result.reason);
        const tell = isRefusal(result.reason) ? refused : failed;
        tell(name, describeError(result.reason));
      }
      if (attestations.length === 0 && errors.length > 0) {
        throw new AgentError('caller_unknown', 'unavailable', 'no attestor knows the caller now', {
          cause: errors[0],
        });
      }
      return { attestations, partial: errors.length > 0 };
    },
  };
}

/** Calls `onEarly` with what has been found when `patienceMs` are over, unless it is stopped before or there is nothing. */
function watchEarly(
  { attestors, clock }: AttestorRunsDeps,
  running: readonly Promise<WorkloadAttestation>[],
  onEarly: (run: AttestorRun) => void,
): () => void {
  const found = new Map<number, WorkloadAttestation>();
  for (const [index, one] of running.entries()) {
    // Why one failed is told once, by whoever waits for all of them.
    one.then(
      (attestation) => found.set(index, attestation),
      () => {},
    );
  }
  const timer = clock.after(patienceMs, () => {
    const isChecked = attestors.every(
      (one, index) => one.checksCaller !== true || found.has(index),
    );
    if (isChecked && found.size > 0) onEarly({ attestations: [...found.values()], partial: true });
  });
  return () => timer.cancel();
}

/** Throws {@link AgentError} once another program, or another process, may be behind the connection. */
export function checkSameProcess(caller: UnixCaller): void {
  if (caller.process === undefined) return;
  if (!caller.process.alive()) {
    throw new AgentError(
      'caller_gone',
      'unavailable',
      `process ${caller.pid} ended after it connected`,
    );
  }
  if (caller.process.replaced()) {
    throw new AgentError(
      'caller_changed',
      'unavailable',
      `process ${caller.pid} runs another program than when it connected`,
      { remedy: 'let it connect after it has become the program that it is to be' },
    );
  }
}

function attestWithin(
  attestor: WorkloadAttestor,
  caller: UnixCaller,
  clock: Clock,
): Promise<WorkloadAttestation> {
  const expired = new AbortController();
  return new Promise((resolve, reject) => {
    const timer = clock.after(attestor.deadlineMs, () => {
      expired.abort();
      reject(
        new AgentError(
          'attestor_unavailable',
          'unavailable',
          `the ${attestor.name} attestor has not answered in ${attestor.deadlineMs} ms`,
        ),
      );
    });
    attestor
      .attest(caller, expired.signal)
      .then(resolve, reject)
      .finally(() => timer.cancel());
  });
}

function isRefusal(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'workload_ambiguous';
}

function isOfCaller(error: unknown): boolean {
  return (
    error instanceof AgentError && (error.code === 'caller_gone' || error.code === 'caller_changed')
  );
}

// Sources that are well answer within milliseconds, and a workload that starts does not notice a second.
const patienceMs = 1000;
