/** Every clock of the config, with the reason for what it is set to where nothing is said. */

import { z } from 'zod';
import { durationField } from '../core/index.ts';

export type TimeoutsConfig = z.output<typeof timeoutsSchema>;

export const timeoutsSchema = z
  .strictObject({
    connect: durationField.default(5000),
    /** How long a request may wait for a connection, be it that all are taken; see {@link waitMsMaxOf}. */
    wait: durationField.optional(),
    /** From the last byte of a request to the head of its response, and between two pieces of a body. */
    response: durationField.default(60_000),
    /** How long a client may take over a request's head. */
    head: durationField.default(30_000),
    /** A connection on which nothing happens. Longer downstream than upstream, so that we never race our own peer. */
    idle: durationField.default(75_000),
    upstreamIdle: durationField.default(30_000),
    /** A tunnel through which nothing goes either way. WebSocket peers ping each other far more often. */
    tunnelIdle: durationField.default(300_000),
    /**
     * A relay through which nothing goes either way, and one of which a side has ended. What is inside is not known: pools
     * of databases are idle for long, so it is an hour, as Envoy's; who has ended waits for an answer and for nothing else.
     */
    relayIdle: durationField.default(3_600_000),
    relayHalfClosed: durationField.default(300_000),
    drain: durationField.default(10_000),
    /** From the accepted connection to the end of its PROXY header and its ClientHello, where they are looked for. */
    firstBytes: durationField.default(10_000),
    /** Until it is known what a client of a listener with `protocol: auto` speaks; then it is unknown. */
    detect: durationField.default(10_000),
    /** A handshake is two round trips; a peer that needs longer is holding a descriptor for nothing. */
    handshake: durationField.default(10_000),
  })
  .superRefine(({ wait, connect }, context) => {
    if (wait === undefined || wait > connect) return;
    // Who is late is not sent on to another endpoint, and who met a silent one is.
    const message = 'it is longer than connect, or no other endpoint is asked after a silent one';
    context.addIssue({ code: 'custom', path: ['wait'], message });
  });

/** Twice the time to connect where nothing is said: whoever waits for a connection that is dialled hears of its end. */
export function waitMsMaxOf({ wait, connect }: TimeoutsConfig): number {
  return wait ?? 2 * connect;
}
