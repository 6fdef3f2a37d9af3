/** Attests a process that has not connected, for whoever may look at it, and tells how each attestor fared. */

import { AdminError } from '../../api/index.ts';
import { type Clock, describeError, silentLogger } from '../../core/index.ts';
import {
  openProcess,
  PeerCredentialsError,
  type ProcessHandle,
  type UnixCaller,
} from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import { checkSameProcess, createAttestorRuns } from '../workload/attestor-runs.ts';
import { readExecutable, readProcessStatus } from '../workload/proc.ts';
import type { WorkloadAttestor } from '../workload/workload-attestor.ts';

export interface ProcessAttestation {
  readonly uid: number;
  readonly gid: number;
  readonly executable: string | undefined;
  readonly selectors: ReadonlySet<string>;
  readonly attestors: readonly AttestorFinding[];
  /** Kinds of selectors that nobody asks for, and that were not looked for. */
  readonly notSought: readonly string[];
}

export interface AttestorFinding {
  readonly name: string;
  readonly selectors: readonly string[];
  readonly failure: string | undefined;
  readonly tookMs: number;
}

export interface AttestProcessDeps {
  readonly attestors: readonly WorkloadAttestor[];
  /** Whether an entry or a rule has a selector with this prefix: what is dear is found for them alone. */
  readonly isSought: (prefix: string) => boolean;
  readonly clock: Clock;
}

/** Throws {@link AdminError}: `process_unknown`, `process_foreign`, or `process_changed` while it was looked at. */
export async function attestProcess(
  pid: number,
  askerUid: number,
  deps: AttestProcessDeps,
): Promise<ProcessAttestation> {
  const process = openKnown(pid);
  const closed = new AbortController();
  try {
    const status = readProcessStatus('/proc', pid);
    if (status === undefined) throw unknown(pid, 'it cannot be looked at from the agent');
    const { uid, gid } = status;
    if (askerUid !== 0 && askerUid !== uid) {
      throw new AdminError(
        'permission_denied',
        'process_foreign',
        `process ${pid} is of user ${uid}, and user ${askerUid} may not have it explained`,
        'run the command as root or as that user',
      );
    }
    const executable = await readExecutable('/proc', pid);
    const connection = `explain-${pid}`;
    const caller: UnixCaller = {
      kind: 'unix',
      connection,
      pid,
      uid,
      gid,
      process,
      closed: closed.signal,
    };
    const found = await Promise.all(deps.attestors.map((one) => attestWith(one, caller, deps)));
    checkStill(caller);
    return {
      uid,
      gid,
      executable: executable?.path,
      selectors: new Set(found.flatMap(({ selectors }) => selectors)),
      attestors: found,
      notSought: found.flatMap(({ notSought }) => notSought),
    };
  } finally {
    closed.abort();
    process.release();
  }
}

/** On its own, so that each tells its failure; and beside the status, for an operator's question is no workload's. */
async function attestWith(
  attestor: WorkloadAttestor,
  caller: UnixCaller,
  { clock, isSought }: AttestProcessDeps,
): Promise<AttestorFinding & { readonly notSought: readonly string[] }> {
  const { name } = attestor;
  const startedMs = clock.monotonicMs();
  const took = (): number => Math.round(clock.monotonicMs() - startedMs);
  try {
    const runs = createAttestorRuns({ attestors: [attestor], clock, log: silentLogger });
    const { attestations } = await runs.run(caller);
    const selectors = attestations.flatMap((attestation) => attestation.selectors);
    const costly = attestations.flatMap((attestation) => attestation.costly ?? []);
    const sought = costly.filter(({ prefix }) => isSought(prefix));
    for (const one of sought) selectors.push(...(await one.find()));
    const notSought = costly.flatMap((one) => (sought.includes(one) ? [] : [one.prefix]));
    return { name, selectors, failure: undefined, tookMs: took(), notSought };
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const failure = describeError(error.cause ?? error);
    return { name, selectors: [], failure, tookMs: took(), notSought: [] };
  }
}

function openKnown(pid: number): ProcessHandle {
  try {
    return openProcess(pid);
  } catch (error) {
    if (error instanceof PeerCredentialsError) throw unknown(pid, error.message);
    throw error;
  }
}

function checkStill(caller: UnixCaller): void {
  try {
    checkSameProcess(caller);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw new AdminError('aborted', 'process_changed', error.message, 'ask again');
  }
}

function unknown(pid: number, reason: string): AdminError {
  return new AdminError(
    'not_found',
    'process_unknown',
    `process ${pid} cannot be explained: ${reason}`,
    'give the number that the process has where the agent runs',
  );
}
