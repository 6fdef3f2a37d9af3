/** Attests each connection once, and keeps its selectors for as long as it lives. */

import { type Logger, describeError, type Watch, WatchSource } from '../../core/index.ts';
import type { Caller, UnixCaller } from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import { whenClosed } from './when-closed.ts';
import type { CostlySelectors, WorkloadAttestor } from './workload-attestor.ts';

export type Selectors = ReadonlySet<string>;

export interface AttestedCallers {
  /** Rejects with AgentError if the caller cannot be known. The set grows when costly selectors come in. */
  selectorsOf(caller: Caller): Promise<Watch<Selectors>>;
}

export interface AttestedCallersDeps {
  readonly attestors: readonly WorkloadAttestor[];
  readonly state: Watch<CaState | undefined>;
  readonly log: Logger;
}

export function createAttestedCallers(deps: AttestedCallersDeps): AttestedCallers {
  // A caller is one connection, so this is per connection; it goes with it.
  const attested = new WeakMap<Caller, Promise<Watch<Selectors>>>();
  return {
    selectorsOf(caller) {
      const known = attested.get(caller);
      if (known !== undefined) return known;
      const attesting = attest(caller, deps);
      attested.set(caller, attesting);
      // A failure may be of the moment: the next call of the connection tries again.
      attesting.catch(() => attested.delete(caller));
      return attesting;
    },
  };
}

async function attest(caller: Caller, deps: AttestedCallersDeps): Promise<Watch<Selectors>> {
  if (caller.kind !== 'unix') {
    throw new AgentError(
      'caller_unknown',
      'permission_denied',
      'the caller is not on this machine',
    );
  }
  const attestations = await Promise.all(deps.attestors.map((attestor) => attestor.attest(caller)));
  const selectors = new WatchSource<Selectors>(
    new Set(attestations.flatMap((attestation) => attestation.selectors)),
  );
  const costly = attestations.flatMap((attestation) => attestation.costly ?? []);
  await Promise.all(costly.map((one) => addWhenNeeded(one, selectors, caller, deps)));
  deps.log.debug('caller attested', {
    connection: caller.connection,
    pid: caller.pid,
    selectors: [...selectors.current()],
  });
  return selectors;
}

/** Finds costly selectors now if an entry has one, else when the first such entry comes. */
async function addWhenNeeded(
  costly: CostlySelectors,
  selectors: WatchSource<Selectors>,
  caller: UnixCaller,
  deps: AttestedCallersDeps,
): Promise<void> {
  const needed = (state: CaState | undefined): boolean =>
    state !== undefined && anySelector(state.entries, costly.prefix);
  const add = async (): Promise<void> => {
    const found = await costly.find();
    if (found.length > 0) selectors.set(new Set([...selectors.current(), ...found]));
  };
  if (needed(deps.state.current())) {
    await add();
    return;
  }
  const stop = deps.state.subscribe((state) => {
    if (!needed(state)) return;
    stop();
    add().catch((error: unknown) => {
      deps.log.warn('a caller could not be looked at again', {
        connection: caller.connection,
        reason: describeError(error),
      });
    });
  });
  whenClosed(caller.closed, stop);
}

function anySelector(entries: readonly AgentEntry[], prefix: string): boolean {
  return entries.some((entry) => entry.selectors.some((selector) => selector.startsWith(prefix)));
}
