/** How much useless work a peer may cause: over it the connection ends with ENHANCE_YOUR_CALM. */

import { type Clock, RateLimit } from '../../../core/index.ts';
import { connectionFault, errorCode, type Http2Fault } from './error-code.ts';
import type { Http2Limits } from './limits.ts';

export class FloodGuard {
  readonly #resets: RateLimit;
  readonly #idleFrames: RateLimit;
  readonly #measures: RateLimit;

  constructor(limits: Http2Limits, clock: Pick<Clock, 'monotonicMs'>) {
    this.#resets = new RateLimit(clock, limits.resets);
    this.#idleFrames = new RateLimit(clock, limits.idleFrames);
    this.#measures = new RateLimit(clock, limits.idleFrames);
  }

  /**
   * A stream of the peer ended before its answer did, by the peer's RST_STREAM or by an error that it
   * provoked: each has cost us a request's work and the peer nothing (CVE-2023-44487, CVE-2025-8671).
   */
  onReset(): Http2Fault | undefined {
    return this.#resets.take(1) === 0
      ? undefined
      : connectionFault(errorCode.enhanceYourCalm, 'too many streams are reset');
  }

  /** A head larger than we take: a few bytes may stand for all that we read of it before we know (CVE-2016-6581). */
  onOversizedHead(): Http2Fault | undefined {
    return this.#resets.take(1) === 0
      ? undefined
      : connectionFault(errorCode.enhanceYourCalm, 'too many heads are larger than we take');
  }

  /** A frame that only asks for work, and that no message calls for: SETTINGS, empty DATA, PRIORITY and their like. */
  onIdleFrame(what: string): Http2Fault | undefined {
    return this.#idleFrames.take(1) === 0 ? undefined : movesNothing(what);
  }

  /** A frame with which peers measure the line: PING, or a window that is opened by a crumb. */
  onMeasure(what: string): Http2Fault | undefined {
    return this.#measures.take(1) === 0 ? undefined : movesNothing(what);
  }

  /**
   * Something of a message went either way: a head, or DATA that is no crumb of more. Peers that measure the line
   * have their questions answered at that pace, however fast it is, and cost no more than the message did. No other
   * idle frame is paid for so: a byte of DATA would buy a walk over all streams (CVE-2019-9515, CVE-2019-9518).
   */
  onWork(): void {
    this.#measures.giveBack(measuresPerWork);
  }
}

function movesNothing(what: string): Http2Fault {
  return connectionFault(errorCode.enhanceYourCalm, `too many frames that move nothing: ${what}`);
}

// grpc-go follows each DATA that it receives by a PING, whose answer tells it the delay of the line, and before it gives
// back what it has read, which is a few bytes where messages are small (its `bdp_estimator.go`, on by default).
const measuresPerWork = 2;

/** A window opened by less is a crumb: it makes us send crumbs (CVE-2019-9511). */
export const crumbBytes = 64;
