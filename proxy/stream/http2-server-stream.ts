/** One request on a client's HTTP/2 connection. */

import type { Buffer } from 'node:buffer';
import type { Connection } from '../net/connection.ts';
import { type Deadlines, type Expiring, never } from '../net/deadlines.ts';
import type { LocalAnswer } from '../protocol/codec.ts';
import type { Fields } from '../protocol/fields.ts';
import { errorCode, type ErrorCode } from '../protocol/http2/error-code.ts';
import type { FieldList } from '../protocol/http2/field-list.ts';
import { http2Codec } from '../protocol/http2/http2-codec.ts';
import type { Http2Stream, StreamConsumer, StreamReset } from '../protocol/http2/http2-stream.ts';
import { connectedFields, declinedFields } from '../protocol/translation/extended-connect.ts';
import { responseFields, trailerFields } from '../protocol/translation/to-http2.ts';
import { resetCodeOf, type ResetReason } from './reset-reason.ts';
import type {
  ClientAbort,
  RequestHandler,
  ResponseHead,
  ServerStream,
  ServerTimeouts,
} from './stream.ts';
import { idleTunnel, slowBody } from './stream.ts';

/** The connection that it stands on. */
export interface StreamConnection {
  readonly peer: Connection['peer'];
  readonly remoteAddress: string;
  readonly endpoints: Connection['endpoints'];
  /** Why it has ended, if it has. */
  readonly loss: ClientAbort;
  /** An answer was given up that nobody else has in hand any more. */
  onUnread(): void;
}

export interface Http2ServerStreamDeps {
  readonly deadlines: Deadlines;
  readonly timeouts: ServerTimeouts;
}

export class Http2ServerStream implements ServerStream, StreamConsumer, Expiring {
  deadlineMs = never;
  readonly #stream: Http2Stream;
  readonly #connection: StreamConnection;
  readonly #isHead: boolean;
  readonly #deps: Http2ServerStreamDeps;
  #handler: RequestHandler | undefined;
  #isPaused = false;
  #isBlocked = false;
  /** Of a CONNECT, extended or not: whether the server has taken it up, or will not. */
  #tunnel: 'none' | 'asked' | 'declined' | 'open' = 'none';

  constructor(
    stream: Http2Stream,
    connection: StreamConnection,
    isHead: boolean,
    deps: Http2ServerStreamDeps,
  ) {
    this.#stream = stream;
    this.#connection = connection;
    this.#isHead = isHead;
    this.#deps = deps;
    deps.deadlines.add(this);
  }

  get peer(): Connection['peer'] {
    return this.#connection.peer;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get endpoints(): Connection['endpoints'] {
    return this.#connection.endpoints;
  }

  begin(handler: RequestHandler): void {
    this.#handler = handler;
    this.#awaitBody();
    handler.start();
  }

  /** As `begin`, of a CONNECT, extended or not: what the client sends is held until there is a tunnel for it. */
  beginConnect(handler: RequestHandler): void {
    this.#handler = handler;
    this.#tunnel = 'asked';
    this.#stream.pause();
    handler.start();
    this.#handler?.onRequestEnd(undefined);
  }

  sendInterim(head: ResponseHead): void {
    this.#stream.sendHead(responseFields(head));
  }

  sendHead(head: ResponseHead): boolean {
    if (this.#tunnel === 'asked') {
      this.#tunnel = 'declined';
      this.#stream.sendHead(declinedFields(head));
    } else {
      this.#stream.sendHead(responseFields(head));
    }
    return true;
  }

  sendBody(bytes: Buffer): boolean {
    this.#timeTunnel();
    if (this.#stream.send(bytes)) return true;
    if (this.#tunnel === 'open') return false;
    this.#isBlocked = true;
    // A client that opens no window holds an upstream stream, so it has only so long.
    this.deadlineMs = this.#deps.deadlines.in(this.#deps.timeouts.idleMs);
    return false;
  }

  endResponse(trailers: Fields | undefined): void {
    this.#stream.end(trailers === undefined ? [] : trailerFields(trailers));
    this.#afterResponse();
  }

  reply(answer: LocalAnswer): void {
    http2Codec.localReply(this.#stream, answer, this.#isHead);
    this.#afterResponse();
  }

  abort(_reason: string, reset?: ResetReason): void {
    // RFC 9113 §8.5: what broke is behind us.
    this.#leave(this.#tunnel === 'open' ? errorCode.connectError : resetCodeOf(reset));
  }

  pauseRequest(): void {
    if (this.#isHeld) return;
    this.#isPaused = true;
    this.#stream.pause();
    if (!this.#isBlocked && this.#tunnel === 'none') this.deadlineMs = never;
  }

  resumeRequest(): void {
    if (this.#isHeld) return;
    this.#isPaused = false;
    this.#awaitBody();
    this.#stream.resume();
  }

  openTunnel(head: ResponseHead): boolean {
    if (head.protocol !== 'http1') return true;
    this.#stream.sendHead(connectedFields(head));
    this.#tunnel = 'open';
    this.#timeTunnel();
    this.#stream.resume();
    return true;
  }

  /** RFC 9113 §8.5: END_STREAM is one direction's end. */
  endTunnel(): void {
    this.#stream.end();
  }

  /** Only a client has heads to receive here. */
  onHead(): void {}

  onData(bytes: Buffer): void {
    this.#timeTunnel();
    this.#awaitBody();
    this.#handler?.onRequestBody(bytes);
  }

  onEnd(trailers: FieldList | undefined): void {
    if (!this.#isBlocked && this.#tunnel === 'none') this.deadlineMs = never;
    this.#handler?.onRequestEnd(trailers);
  }

  onReset({ by }: StreamReset): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#deps.deadlines.delete(this);
    handler?.onClientAbort(by === 'connection' ? this.#connection.loss : 'gone');
  }

  onDrain(): void {
    this.#isBlocked = false;
    this.deadlineMs = never;
    if (this.#handler === undefined) {
      this.#leave(errorCode.noError);
      return;
    }
    this.#timeTunnel();
    this.#awaitBody();
    this.#handler.onResponseDrain();
  }

  onDeadline(): void {
    const handler = this.#handler;
    if (this.#tunnel === 'open' && handler !== undefined) {
      handler.onRequestFailure(idleTunnel);
      return;
    }
    if (this.#isBlocked || handler === undefined) {
      // Nobody is there to read, or nobody writes any more.
      this.#leave(errorCode.cancel);
      if (handler === undefined) this.#connection.onUnread();
      else handler.onClientAbort('unread');
      return;
    }
    handler.onRequestFailure(slowBody);
  }

  /** Whether what comes after an extended CONNECT has nowhere to go. */
  get #isHeld(): boolean {
    return this.#tunnel === 'asked' || this.#tunnel === 'declined';
  }

  /** Whichever way something went through it, a tunnel is not idle. */
  #timeTunnel(): void {
    if (this.#tunnel !== 'open') return;
    this.deadlineMs = this.#deps.deadlines.in(this.#deps.timeouts.tunnelIdleMs);
  }

  #awaitBody(): void {
    if (this.#isBlocked || this.#isPaused || this.#tunnel !== 'none') return;
    this.deadlineMs = this.#stream.mayReceive
      ? this.#deps.deadlines.in(this.#deps.timeouts.idleMs)
      : never;
  }

  #afterResponse(): void {
    this.#handler = undefined;
    if (this.#stream.isBlocked) {
      // The end of the request may still come, and must not put this off.
      this.#isBlocked = true;
      this.deadlineMs = this.#deps.deadlines.in(this.#deps.timeouts.idleMs);
      return;
    }
    this.#leave(errorCode.noError);
  }

  /** RFC 9113 §8.1: after a whole response, what is left of the request is not wanted. */
  #leave(code: ErrorCode): void {
    this.#handler = undefined;
    this.#deps.deadlines.delete(this);
    if (this.#stream.isClosed || (code === errorCode.noError && !this.#stream.mayReceive)) {
      this.#stream.discardReceived();
    } else {
      this.#stream.reset(code);
    }
  }
}
