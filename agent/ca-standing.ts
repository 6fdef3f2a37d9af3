/** How the agent stands to its CA, and since when: for operators, probes and metrics. */

import { type Clock, describeError, type Watch, WatchSource } from '../core/index.ts';

export interface CaStanding {
  /**
   * `joining` until the node is attested; `refused` for good; `turned_away` while the node's SVID is of no use
   * and the CA does not attest it again; else whether the Sync stream is open.
   */
  readonly kind: 'joining' | 'connected' | 'away' | 'turned_away' | 'refused';
  readonly sinceMs: number;
  readonly reason?: string;
}

export class CaStandings {
  readonly #clock: Clock;
  readonly #standing: WatchSource<CaStanding>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#standing = new WatchSource<CaStanding>({ kind: 'joining', sinceMs: clock.wallMs() });
  }

  get standing(): Watch<CaStanding> {
    return this.#standing;
  }

  connected(): void {
    this.#set('connected');
  }

  away(reason: string): void {
    // That there is no stream follows from it, and its reason says less.
    if (this.#standing.current().kind !== 'turned_away') this.#set('away', reason);
  }

  /** Undefined once it is attested again, and has a stream to open. */
  turnedAway(error: unknown): void {
    if (error === undefined) this.#set('away', 'the node was attested again');
    else this.#set('turned_away', describeError(error));
  }

  refused(error: unknown): void {
    this.#set('refused', describeError(error));
  }

  /** Why an attempt to join has failed is kept while further ones are made. */
  async joining<T>(attempt: Promise<T>): Promise<T> {
    try {
      return await attempt;
    } catch (error) {
      if (this.#standing.current().kind === 'joining') this.#set('joining', describeError(error));
      throw error;
    }
  }

  /** The time is that of the change of kind: in an outage the reasons come and go. */
  #set(kind: CaStanding['kind'], reason?: string): void {
    const before = this.#standing.current();
    // Once the CA will not have the node, nothing more is asked of it.
    if (before.kind === 'refused') return;
    if (before.kind === kind && before.reason === reason) return;
    const sinceMs = before.kind === kind ? before.sinceMs : this.#clock.wallMs();
    this.#standing.set({
      kind,
      sinceMs,
      ...(reason === undefined ? {} : { reason: reason.slice(0, reasonLengthMax) }),
    });
  }
}

// A chain of causes; the rest is in the log.
const reasonLengthMax = 1024;
