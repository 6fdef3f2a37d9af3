/** The clocks of one request: the client's, its route's, and that of the try which is under way. */

import { type Deadlines, type Expiring, never } from '../net/deadlines.ts';

/** `client`: what the client said that it waits (gRPC alone). `request`, `try`: what the route allows. */
export type RequestDeadline = 'client' | 'request' | 'try';

/**
 * What Envoy's `timeout` and `per_try_timeout` of a route are: both run from the end of the request, since how long a
 * client uploads is the client's affair; the first to the end of the response, the second to its head, after which no
 * other try could answer.
 */
export interface RouteTimeouts {
  readonly requestMs: number | undefined;
  readonly tryMs: number | undefined;
}

/** Tells the first that passes, once each. Only requests that have a deadline have one of these. */
export class RequestClock implements Expiring {
  deadlineMs = never;
  readonly #deadlines: Deadlines;
  readonly #onPassed: (deadline: RequestDeadline) => void;
  readonly #at = { client: never, request: never, try: never };

  constructor(deadlines: Deadlines, onPassed: (deadline: RequestDeadline) => void) {
    this.#deadlines = deadlines;
    this.#onPassed = onPassed;
    deadlines.add(this);
  }

  start(deadline: RequestDeadline, delayMs: number): void {
    this.#at[deadline] = this.#deadlines.in(delayMs);
    this.#show();
  }

  stopTry(): void {
    this.#at.try = never;
    this.#show();
  }

  stop(): void {
    this.#deadlines.delete(this);
  }

  onDeadline(): void {
    // What makes the others moot comes first.
    const passed = order.find((each) => this.#deadlines.hasPassed(this.#at[each]));
    if (passed === undefined) return;
    this.#at[passed] = never;
    this.#show();
    this.#onPassed(passed);
  }

  #show(): void {
    const { client, request, try: one } = this.#at;
    this.deadlineMs = Math.min(client, request, one);
  }
}

const order: readonly RequestDeadline[] = ['client', 'request', 'try'];
