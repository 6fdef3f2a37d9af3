/** What each caller from afar may take: one that asks too much is sent away, and nobody else feels it. */

import { type Clock, RateLimit } from '../../core/index.ts';
import type { Caller } from '../../rpc/index.ts';
import type { SdsAdmission } from '../../sds-server/index.ts';
import { whenClosed } from '../workload/when-closed.ts';
import type { RemoteLimits } from './remote-config.ts';
import { RemoteSdsError } from './remote-error.ts';

interface Usage {
  connections: number;
  streams: number;
  readonly rate: RateLimit;
}

export class CallerLimits implements SdsAdmission {
  readonly #clock: Clock;
  readonly #limits: RemoteLimits;
  readonly #total: RateLimit;
  /** By SPIFFE ID: more connections do not make more of a share. */
  readonly #usages = new Map<string, Usage>();

  constructor(limits: RemoteLimits, clock: Clock) {
    this.#clock = clock;
    this.#limits = limits;
    this.#total = new RateLimit(clock, bucketOf(limits.requestsPerSecond));
  }

  /** False if this caller has too many; else it counts until `closed`. */
  connect(id: string, closed: AbortSignal): boolean {
    this.#forgetQuiet();
    const usage = this.#usageOf(id);
    if (usage.connections >= this.#limits.connectionsPerCaller) return false;
    usage.connections += 1;
    whenClosed(closed, () => {
      usage.connections -= 1;
    });
    return true;
  }

  stream(caller: Caller, signal: AbortSignal): void {
    const id = idOf(caller);
    const usage = this.#usageOf(id);
    const { streamsPerCaller } = this.#limits;
    if (usage.streams >= streamsPerCaller) {
      throw new RemoteSdsError(
        'sds_streams',
        'resource_exhausted',
        `${id} has ${usage.streams} streams, at most ${streamsPerCaller} are served`,
        { retryAfterMs: streamRetryMs },
      );
    }
    usage.streams += 1;
    whenClosed(signal, () => {
      usage.streams -= 1;
    });
  }

  request(caller: Caller): void {
    const id = idOf(caller);
    // Its own first: what is refused there takes nothing of what all have together.
    const ownMs = this.#usageOf(id).rate.take(1);
    if (ownMs > 0) {
      const { requestsPerSecondPerCaller } = this.#limits;
      throw new RemoteSdsError(
        'sds_rate',
        'resource_exhausted',
        `${id} sends more than ${requestsPerSecondPerCaller} requests per second`,
        { retryAfterMs: ownMs },
      );
    }
    const totalMs = this.#total.take(1);
    if (totalMs === 0) return;
    throw new RemoteSdsError(
      'sds_rate_total',
      'resource_exhausted',
      'all callers together send more than this server answers',
      { retryAfterMs: totalMs },
    );
  }

  #usageOf(id: string): Usage {
    const known = this.#usages.get(id);
    if (known !== undefined) return known;
    const { requestsPerSecondPerCaller } = this.#limits;
    const rate = new RateLimit(this.#clock, bucketOf(requestsPerSecondPerCaller));
    const usage: Usage = { connections: 0, streams: 0, rate };
    this.#usages.set(id, usage);
    return usage;
  }

  /** A caller that comes again after a quiet time is as new: it need not be remembered. */
  #forgetQuiet(): void {
    if (this.#usages.size < usagesKept) return;
    for (const [id, { connections, streams, rate }] of this.#usages) {
      if (connections === 0 && streams === 0 && rate.isFull()) this.#usages.delete(id);
    }
  }
}

function idOf(caller: Caller): string {
  if (caller.kind === 'tls' && caller.identity !== undefined) return caller.identity;
  throw new RemoteSdsError(
    'sds_peer_unknown',
    'unauthenticated',
    'the caller has shown no certificate',
  );
}

function bucketOf(perSecond: number): { perSecond: number; burst: number } {
  return { perSecond, burst: perSecond * burstSeconds };
}

const burstSeconds = 4;
const streamRetryMs = 1000;
// Below it nobody looks; above it each new connection clears away what is quiet.
const usagesKept = 20_000;
