/**
 * Handlers in our own terms: a request and who made it in, a response or a thrown error out.
 *
 * The generated `…Server` interfaces of `api/` take what these functions return, so that a service is
 * written with no gRPC call object in sight.
 */

import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerDuplexStream,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { forgetLastMessage, readOneAhead } from './call-memory.ts';
import type { Caller } from './caller.ts';
import { toStatus } from './status.ts';

export interface CallContext {
  readonly caller: Caller;
  /** All values of one metadata key, text values only. */
  metadata(key: string): readonly string[];
  /** Aborted when the call ends, whoever ends it. */
  readonly signal: AbortSignal;
}

/** The sending half of a stream. */
export interface Outgoing<Response> {
  /**
   * Sends one message. False asks the sender to wait for `drained` before the next one; a sender that
   * then keeps only the newest state needs no queue.
   */
  send(message: Response): boolean;
  /** Resolves when the peer has taken what was sent, or when the call ends. */
  drained(): Promise<void>;
}

/** Both halves of a stream. Messages come one at a time, in order. */
export interface Duplex<Request, Response> extends Outgoing<Response> {
  readonly requests: AsyncIterable<Request>;
}

/** How a handler learns who calls; a server gives one of these. */
export type CallerLookup = (peer: string) => Caller;

export function unary<Request, Response>(
  lookup: CallerLookup,
  handler: (request: Request, context: CallContext) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const ended = new AbortController();
    call.on('cancelled', () => ended.abort());
    const run = async (): Promise<Response> =>
      handler(call.request, contextOf(lookup, call.getPeer(), call.metadata, ended.signal));
    run().then(
      (response) => callback(null, response),
      (error: unknown) => callback(toStatus(error)),
    );
  };
}

/** The stream ends when the handler returns (status OK) or throws (the error's status). */
export function serverStream<Request, Response>(
  lookup: CallerLookup,
  handler: (request: Request, out: Outgoing<Response>, context: CallContext) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    runStream(call, lookup, (out, context) => handler(call.request, out, context));
  };
}

/** As {@link serverStream}, with the caller's messages as an async iterable that ends when the caller half-closes. */
export function duplexStream<Request, Response>(
  lookup: CallerLookup,
  handler: (stream: Duplex<Request, Response>, context: CallContext) => Promise<void>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    runStream(call, lookup, (out, context) =>
      handler({ ...out, requests: requestsOf(call, context.signal) }, context),
    );
  };
}

type AnyStream<Request, Response> =
  | ServerWritableStream<Request, Response>
  | ServerDuplexStream<Request, Response>;

function runStream<Request, Response>(
  call: AnyStream<Request, Response>,
  lookup: CallerLookup,
  body: (out: Outgoing<Response>, context: CallContext) => Promise<void>,
): void {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  call.on('cancelled', end);
  call.on('close', end);
  // A peer that resets the stream is told of by 'cancelled'; without a listener the event would be thrown.
  call.on('error', end);
  const out = outgoing(call, ended.signal);
  const run = async (): Promise<void> =>
    body(out, contextOf(lookup, call.getPeer(), call.metadata, ended.signal));
  run().then(
    () => {
      end();
      call.end();
    },
    async (error: unknown) => {
      // The error destroys the call, and with it a message under way and the status behind that.
      await out.drained();
      end();
      call.emit('error', toStatus(error));
    },
  );
}

/**
 * grpc-js would queue sixteen messages before it asks to wait, whatever their size. Here a message counts
 * as taken when its bytes have left for the peer, so a sender that waits never has more than one under way.
 */
function outgoing<Response>(
  call: AnyStream<unknown, Response>,
  signal: AbortSignal,
): Outgoing<Response> {
  let underWay = 0;
  const waiting = new Set<() => void>();
  const taken = (): void => {
    underWay -= 1;
    if (underWay > 0) return;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  signal.addEventListener(
    'abort',
    () => {
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
    { once: true },
  );
  return {
    send(message) {
      if (signal.aborted) return false;
      underWay += 1;
      return call.write(message, taken);
    },
    drained() {
      if (signal.aborted || underWay === 0) return Promise.resolve();
      return new Promise((resolve) => {
        waiting.add(resolve);
      });
    },
  };
}

/**
 * Not a generator, and no `for await` over the call's own iterator: either would hold the last message until the
 * next comes, which on most streams is never.
 */
function requestsOf<Request>(
  call: ServerDuplexStream<Request, unknown>,
  signal: AbortSignal,
): AsyncIterable<Request> {
  let wake: () => void = () => {};
  const moved = (): void => wake();
  let listens = false;
  const next = async (): Promise<IteratorResult<Request, undefined>> => {
    if (!listens) {
      listens = true;
      readOneAhead(call);
      for (const event of ['readable', 'end', 'close', 'error']) call.on(event, moved);
    }
    for (;;) {
      // A cancelled call destroys its stream; that is an end, not a failure of the handler.
      if (signal.aborted || call.destroyed) return { done: true, value: undefined };
      const value = call.read() as Request | null;
      if (value !== null) {
        forgetLastMessage(call);
        return { done: false, value };
      }
      if (call.readableEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

function contextOf(
  lookup: CallerLookup,
  peer: string,
  metadata: Metadata,
  signal: AbortSignal,
): CallContext {
  return {
    caller: lookup(peer),
    signal,
    metadata: (key) => metadata.get(key).filter((value) => typeof value === 'string'),
  };
}
