/** How long a revocation takes to bite: from the operator's call to the pushes, and to the nodes that applied it. */

export interface PushedStep {
  /** `pushed`: it left for a node. `applied`: a node says that it has dropped and passed on what was revoked. */
  readonly step: 'pushed' | 'applied';
  readonly delayMs: number;
}

/** Plain numbers, and a listener for whoever keeps histograms. */
export class PushTimes {
  pushes = 0;
  applications = 0;
  /** Of the newest push, and of the newest word that one was applied. */
  lastPushMs = 0;
  lastAppliedMs = 0;
  /** The slowest of the newest revocation so far. */
  slowestAppliedMs = 0;
  /** When each version of the state was asked for. */
  readonly #began = new Map<number, number>();
  #listener: ((step: PushedStep) => void) | undefined;

  listen(listener: (step: PushedStep) => void): void {
    this.#listener = listener;
  }

  /** `askedAtMs` is monotonic: the moment in which the admin call came in. */
  began(version: number, askedAtMs: number): void {
    this.#began.set(version, askedAtMs);
    this.slowestAppliedMs = 0;
    const [oldest] = this.#began.keys();
    if (this.#began.size > versionsMax && oldest !== undefined) this.#began.delete(oldest);
  }

  pushed(version: number, nowMs: number): void {
    const beganMs = this.#began.get(version);
    if (beganMs === undefined) return;
    this.pushes += 1;
    this.lastPushMs = nowMs - beganMs;
    this.#listener?.({ step: 'pushed', delayMs: this.lastPushMs });
  }

  applied(version: number, nowMs: number): void {
    const beganMs = this.#began.get(version);
    if (beganMs === undefined) return;
    this.applications += 1;
    this.lastAppliedMs = nowMs - beganMs;
    this.slowestAppliedMs = Math.max(this.slowestAppliedMs, this.lastAppliedMs);
    this.#listener?.({ step: 'applied', delayMs: this.lastAppliedMs });
  }
}

/** One node's stream: which revision of the node's state first carried which version of what is revoked. */
export class NodePushes {
  readonly #times: PushTimes;
  readonly #nowMs: () => number;
  readonly #waiting: { readonly revision: bigint; readonly version: number }[] = [];
  #version: number;

  /** `version`: what the first state will hold anyway; no call waits for that. */
  constructor(times: PushTimes, version: number, nowMs: () => number) {
    this.#times = times;
    this.#version = version;
    this.#nowMs = nowMs;
  }

  sent(revision: bigint, version: number): void {
    if (version === this.#version) return;
    this.#version = version;
    this.#times.pushed(version, this.#nowMs());
    this.#waiting.push({ revision, version });
    if (this.#waiting.length > versionsMax) this.#waiting.shift();
  }

  reported(appliedRevision: bigint): void {
    for (;;) {
      const [oldest] = this.#waiting;
      if (oldest === undefined || oldest.revision > appliedRevision) return;
      this.#waiting.shift();
      this.#times.applied(oldest.version, this.#nowMs());
    }
  }
}

// Nodes that are further behind than this many revocations are not what the figure is about.
const versionsMax = 64;
