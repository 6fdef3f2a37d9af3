/**
 * Holds the `Sync` stream: applies what the CA pushes, acknowledges the revision once it is applied, and
 * tells how SDS clients stand to each root.
 */

import type { SyncRequest, SyncResponse } from '../api/index.ts';
import {
  type BackoffPolicy,
  backoffMs,
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  sleep,
  type Timer,
  type Watch,
} from '../core/index.ts';
import type { CaStandings } from './ca-standing.ts';
import type { CaState } from './ca-state.ts';
import type { NodeApi, SyncStream } from './node-api.ts';
import type { SecretReports } from './secret-reports.ts';
import type { TrustReports } from './trust-reports.ts';

export interface SyncDeps {
  readonly api: Watch<NodeApi>;
  /** Told of each stream that broke, and why. */
  readonly onBroken: (error: unknown) => void;
  /** Called before each try after a failure. */
  readonly reconnect: () => void;
  readonly trust: TrustReports;
  readonly secrets?: SecretReports;
  readonly state: Watch<CaState | undefined>;
  /** Makes a push the agent's state. Throws if it cannot be applied; then it is not acknowledged. */
  readonly apply: (response: SyncResponse) => void;
  readonly standings?: Pick<CaStandings, 'connected' | 'away'>;
  /** Aborted once the CA will not have this node any more. */
  readonly ended?: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
}

export function startSync(deps: SyncDeps): Closable {
  const ended = new AbortController();
  deps.ended?.addEventListener('abort', () => ended.abort(), { once: true });
  const running = syncForEver(deps, ended.signal);
  return {
    async close() {
      ended.abort();
      await running;
    },
  };
}

async function syncForEver(deps: SyncDeps, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const session = new SyncSession(deps, signal);
    const outcome = await session.run();
    if (signal.aborted) return;
    // A renewed node SVID moves the stream to a new connection: no failure, and no wait.
    if (outcome.kind === 'moved') continue;
    deps.standings?.away(outcome.reason);
    failures = outcome.served ? 0 : failures + 1;
    const waitMs = backoffMs(syncBackoff, failures, deps.random);
    // The first break is news; the tries that follow it in an outage are not.
    const level = failures <= 1 ? 'warn' : 'debug';
    deps.log[level]('the CA cannot be reached; what was issued goes on being served', {
      reason: outcome.reason,
      retryInMs: Math.round(waitMs),
    });
    await sleep(deps.clock, waitMs, signal);
    if (!signal.aborted) deps.reconnect();
  }
}

type SyncOutcome =
  | { readonly kind: 'moved' }
  /** `served`: it had brought something, so the CA was well and the backoff begins anew. */
  | { readonly kind: 'broken'; readonly served: boolean; readonly reason: string };

/** One stream from its opening to its end. */
class SyncSession {
  readonly #deps: SyncDeps;
  readonly #stream: SyncStream;
  readonly #signal: AbortSignal;
  #moved = false;
  #pendingReport: Timer | undefined;

  constructor(deps: SyncDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#stream = deps.api.current().sync();
  }

  async run(): Promise<SyncOutcome> {
    const deps = this.#deps;
    const stream = this.#stream;
    const cancel = (): void => stream.cancel();
    const stops = [
      deps.api.subscribe(() => {
        this.#moved = true;
        cancel();
      }),
      deps.trust.changes.subscribe(() => this.#reportSoon()),
      deps.secrets?.changes.subscribe(() => this.#reportSoon()) ?? (() => {}),
    ];
    this.#signal.addEventListener('abort', cancel, { once: true });
    let served = false;
    try {
      this.#send();
      for await (const response of stream.responses) {
        if (this.#apply(response)) served = true;
      }
      return this.#moved
        ? { kind: 'moved' }
        : { kind: 'broken', served, reason: 'the CA ended the stream' };
    } catch (error) {
      if (this.#moved) return { kind: 'moved' };
      deps.onBroken(error);
      return { kind: 'broken', served, reason: describeError(error) };
    } finally {
      for (const stop of stops) stop();
      this.#pendingReport?.cancel();
      this.#signal.removeEventListener('abort', cancel);
      cancel();
    }
  }

  #apply(response: SyncResponse): boolean {
    const deps = this.#deps;
    try {
      deps.apply(response);
    } catch (error) {
      deps.log.error('a push of the CA could not be applied', {
        revision: Number(response.revision),
        reason: describeError(error),
      });
      return false;
    }
    deps.standings?.connected();
    // Applying a new bundle may have moved the stream; the next one begins with the applied revision.
    if (!this.#moved) this.#send();
    return true;
  }

  #reportSoon(): void {
    this.#pendingReport ??= this.#deps.clock.after(coalesceMs, () => {
      this.#pendingReport = undefined;
      this.#send();
    });
  }

  #send(): void {
    const state = this.#deps.state.current();
    const { holdings = [], leftOut = 0 } = this.#deps.secrets?.holdings() ?? {};
    const request: SyncRequest = {
      appliedRevision: state?.revision ?? 0n,
      trust: this.#deps.trust.reports(state),
      agentVersion: this.#deps.version,
      secretReports: this.#deps.secrets?.current() ?? [],
      secretHoldings: holdings,
      secretHoldingsLeftOut: leftOut,
    };
    this.#stream.send(request);
  }
}

const syncBackoff: BackoffPolicy = { baseMs: 100, maxMs: 2000 };
// After a push every SDS client acknowledges within milliseconds: one report tells of them all.
const coalesceMs = 50;
