/** Attests each connection, and watches it for as long as it lives. */

import type { Clock, Closable, Logger, Watch } from '../../core/index.ts';
import type { Caller } from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import type { CaState } from '../ca-state.ts';
import { AttestedCaller, type Selectors } from './attested-caller.ts';
import { type AttestorStatus, checkSameProcess, createAttestorRuns } from './attestor-runs.ts';
import { createCallerWatch } from './caller-watch.ts';
import type { WorkloadAttestor } from './workload-attestor.ts';

export type { Selectors } from './attested-caller.ts';

export interface AttestedCallers extends Closable {
  /**
   * Rejects with AgentError if the caller cannot be known. The set changes with what the process is, and
   * is empty from the moment at which it has ended.
   */
  selectorsOf(caller: Caller): Promise<Watch<Selectors>>;
  readonly attestors: Watch<readonly AttestorStatus[]>;
}

export interface AttestedCallersDeps {
  readonly attestors: readonly WorkloadAttestor[];
  readonly state: Watch<CaState | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createAttestedCallers(deps: AttestedCallersDeps): AttestedCallers {
  const { state, clock, log } = deps;
  const runs = createAttestorRuns(deps);
  const watch = createCallerWatch(clock);
  // A caller is one connection, so this is per connection; it goes with it.
  const attested = new WeakMap<Caller, Promise<AttestedCaller>>();

  const attest = (caller: Caller): Promise<AttestedCaller> => {
    if (caller.kind !== 'unix') {
      throw new AgentError(
        'caller_unknown',
        'permission_denied',
        'the caller is not on this machine',
      );
    }
    const attesting = AttestedCaller.attest(caller, { runs, state, log });
    attested.set(caller, attesting);
    attesting.then(
      (one) => watch.add(one),
      // A failure may be of the moment: the next call of the connection tries again.
      () => attested.delete(caller),
    );
    return attesting;
  };
  return {
    attestors: runs.status,
    async selectorsOf(caller) {
      const one = await (attested.get(caller) ?? attest(caller));
      try {
        // Each call asks, so that none is answered on the word of a process that is no more.
        checkSameProcess(one.caller);
      } catch (error) {
        one.end('it made another call');
        throw error;
      }
      return one.selectors;
    },
    close: () => watch.close(),
  };
}
