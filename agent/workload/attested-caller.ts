/**
 * One connection's selectors for as long as it lives: found once, looked at again when what they rest on
 * changes, and gone for good when the process ends or becomes another program. Of the first look what is there
 * counts early, if some entry fits it: nobody waits for a source that hangs and has no say in it. Later looks
 * count whole: a slow answer must not take away for a moment what stands.
 */

import { describeError, type Logger, type Watch, WatchSource } from '../../core/index.ts';
import type { UnixCaller } from '../../rpc/index.ts';
import type { CaState } from '../ca-state.ts';
import { type AttestorRun, type AttestorRuns, checkSameProcess } from './attestor-runs.ts';
import { fittingEntries } from './fitting-entries.ts';
import { isNeeded } from './needed-selectors.ts';
import { whenClosed } from './when-closed.ts';
import type { CostlySelectors, WorkloadAttestation } from './workload-attestor.ts';

export type Selectors = ReadonlySet<string>;

export interface AttestedCallerDeps {
  readonly runs: AttestorRuns;
  readonly state: Watch<CaState | undefined>;
  readonly log: Logger;
}

export class AttestedCaller {
  readonly caller: UnixCaller;
  readonly selectors = new WatchSource<Selectors>(noSelectors);
  readonly #deps: AttestedCallerDeps;
  #run: AttestorRun = { attestations: [], partial: false };
  #stops: (() => void)[] = [];
  /** Counts attestations, so that what an older one finds late is dropped. */
  #round = 0;
  #checking = false;
  #doubted = false;
  #ended = false;

  /** Rejects with AgentError if the caller cannot be known. */
  static async attest(caller: UnixCaller, deps: AttestedCallerDeps): Promise<AttestedCaller> {
    const attested = new AttestedCaller(caller, deps);
    await attested.#firstLook();
    whenClosed(caller.closed, () => attested.#stop());
    deps.log.debug('caller attested', {
      connection: caller.connection,
      pid: caller.pid,
      selectors: [...attested.selectors.current()],
    });
    return attested;
  }

  private constructor(caller: UnixCaller, deps: AttestedCallerDeps) {
    this.caller = caller;
    this.#deps = deps;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Withdraws everything: the process has ended, or is not the program that connected. */
  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop();
    this.#deps.log.info('an identity is withdrawn', {
      connection: this.caller.connection,
      pid: this.caller.pid,
      reason,
    });
    this.#set(noSelectors);
  }

  /** Looks whether the selectors still hold, and attests again if they do not. Does not reject. */
  async check(): Promise<void> {
    if (this.#ended || this.#checking || this.caller.closed.aborted) return;
    this.#checking = true;
    try {
      checkSameProcess(this.caller);
      if (this.#doubted || this.#run.partial || !(await holds(this.#run.attestations))) {
        this.#doubted = false;
        await this.#attest();
      }
    } catch (error) {
      this.#failedAgain(error);
    } finally {
      this.#checking = false;
    }
    // Told of a change while it looked: what it has read may be older.
    if (this.#doubted) await this.check();
  }

  /** Resolves as soon as there is something to tell. */
  async #firstLook(): Promise<void> {
    this.#checking = true;
    let isEarly = false;
    let whole: Promise<void> | undefined;
    const early = new Promise<void>((resolve) => {
      whole = this.#attest((run) => {
        this.#adopt(run).then(
          () => {
            const state = this.#deps.state.current();
            if (state === undefined) return;
            isEarly = fittingEntries(state, this.selectors.current()).length > 0;
            if (isEarly) resolve();
          },
          // The whole look meets with the same, and says so.
          () => {},
        );
      });
    });
    const done = async (): Promise<void> => {
      try {
        await whole;
      } catch (error) {
        if (!isEarly) throw error;
        this.#failedAgain(error);
      } finally {
        this.#checking = false;
      }
      if (this.#doubted) await this.check();
    };
    await Promise.race([done(), early]);
  }

  async #attest(onEarly?: (run: AttestorRun) => void): Promise<void> {
    await this.#adopt(await this.#deps.runs.run(this.caller, onEarly));
  }

  async #adopt(run: AttestorRun): Promise<void> {
    // Asked after everything was read: then all of it was read of the process that connected.
    checkSameProcess(this.caller);
    if (this.caller.closed.aborted || this.#ended) return;
    this.#stop();
    this.#run = run;
    this.#round += 1;
    const round = this.#round;
    const selectors = new Set(run.attestations.flatMap((attestation) => attestation.selectors));
    for (const { subscribe } of run.attestations) {
      if (subscribe !== undefined) this.#stops.push(subscribe(() => this.#doubt()));
    }
    const costly = run.attestations.flatMap((attestation) => attestation.costly ?? []);
    const add = (found: readonly string[]): void => {
      for (const selector of found) selectors.add(selector);
      if (round === this.#round && !this.#ended) this.#set(new Set(selectors));
    };
    await Promise.all(costly.map((one) => this.#addWhenNeeded(one, add)));
    add([]);
  }

  #doubt(): void {
    this.#doubted = true;
    // It does not reject.
    void this.check();
  }

  #failedAgain(error: unknown): void {
    const reason = describeError(error);
    try {
      checkSameProcess(this.caller);
    } catch {
      this.end(reason);
      return;
    }
    // Something has changed and nobody can say what it is now: nothing, until somebody can. What the look
    // before goes on finding belongs to what it was.
    this.#stop();
    this.#round += 1;
    this.#run = { attestations: [], partial: true };
    this.#deps.log.warn('a caller could not be looked at again', {
      connection: this.caller.connection,
      reason,
    });
    this.#set(noSelectors);
  }

  #set(selectors: Selectors): void {
    const before = this.selectors.current();
    const same = before.size === selectors.size && [...before].every((one) => selectors.has(one));
    if (!same) this.selectors.set(selectors);
  }

  #stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  /** Finds costly selectors now if an entry has one, else when the first such entry comes. */
  async #addWhenNeeded(
    costly: CostlySelectors,
    add: (found: readonly string[]) => void,
  ): Promise<void> {
    const { state, log } = this.#deps;
    if (isNeeded(costly.prefix, state.current())) {
      add(await costly.find());
      return;
    }
    const stop = state.subscribe((value) => {
      if (!isNeeded(costly.prefix, value)) return;
      stop();
      costly.find().then(add, (error: unknown) => {
        log.warn('a caller could not be looked at again', {
          connection: this.caller.connection,
          reason: describeError(error),
        });
      });
    });
    this.#stops.push(stop);
  }
}

async function holds(attestations: readonly WorkloadAttestation[]): Promise<boolean> {
  const answers = await Promise.all(
    attestations.map(async ({ holds: ask }) => ask === undefined || ask()),
  );
  return !answers.includes(false);
}

const noSelectors: Selectors = new Set();
