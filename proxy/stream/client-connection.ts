/** The upstream half of HTTP/1.1: one connection, one exchange at a time, back to its pool in between. */

import type { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import type { HeaderBlock } from '../protocol/http1/header-block.ts';
import type { Http1ErrorCode } from '../protocol/http1/http1-event.ts';
import { knownField } from '../protocol/http1/known-field.ts';
import { ResponseDecoder } from '../protocol/http1/response-decoder.ts';
import type { ResponseHead } from '../protocol/http1/response-head.ts';

/** Whoever sent the request. After `onResponseEnd` or `onResponseFailure` nothing more is called. */
export interface ResponseHandler {
  /** A 1xx head; the final one is still to come. */
  onInterimHead(head: ResponseHead): void;
  onResponseHead(head: ResponseHead): void;
  onResponseBody(bytes: Buffer): void;
  onResponseEnd(trailers: HeaderBlock | undefined): void;
  onResponseFailure(failure: ResponseFailure): void;
  /** There is room again after a `send` that answered false. */
  onRequestDrain(): void;
}

export interface ResponseFailure {
  /** `lost`: not one byte of a response came. `bad`: what came is no response. `cut_off`: it began and broke off. */
  readonly code: 'lost' | 'bad' | 'cut_off' | 'timeout';
  readonly detail: string;
}

/** Where a connection goes when its exchange is over. */
export interface ConnectionOwner {
  onExchangeOver(stream: ClientConnection, isReusable: boolean): void;
  onConnectionLost(stream: ClientConnection): void;
}

export interface ClientTimeouts {
  readonly responseMs: number;
  readonly idleMs: number;
}

export class ClientConnection implements ConnectionListener {
  /** Which TLS material it was made under. */
  readonly generation: number;
  readonly #connection: Connection;
  readonly #owner: ConnectionOwner;
  readonly #timeouts: ClientTimeouts;
  readonly #decoder = new ResponseDecoder();
  #handler: ResponseHandler | undefined;
  #exchanges = 0;
  #idleMs: number;
  #isRequestEnded = true;
  #hasResponseBegun = false;
  #isPaused = false;
  #isPulling = false;
  #hasPeerEnded = false;
  #keepsAlive = true;
  #isOver = false;

  constructor(
    connection: Connection,
    generation: number,
    owner: ConnectionOwner,
    timeouts: ClientTimeouts,
  ) {
    this.#connection = connection;
    this.generation = generation;
    this.#owner = owner;
    this.#timeouts = timeouts;
    this.#idleMs = timeouts.idleMs;
    connection.expireIn(timeouts.idleMs);
    connection.attach(this);
  }

  /** Whether an exchange went over it before this one: its peer may then be gone without our knowing. */
  get isReused(): boolean {
    return this.#exchanges > 1;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get isUsable(): boolean {
    return !this.#isOver && !this.#hasPeerEnded && !this.#connection.isClosed;
  }

  /** Begins an exchange. `head` is encoded; `method` decides how the response is framed. */
  start(method: string, head: Buffer, handler: ResponseHandler): void {
    this.#exchanges += 1;
    this.#handler = handler;
    this.#isRequestEnded = false;
    this.#hasResponseBegun = false;
    this.#keepsAlive = true;
    this.#isPaused = false;
    this.#connection.neverExpire();
    this.#decoder.expect(method);
    this.send(head);
  }

  /** Bytes of the request, encoded. False asks for a pause until `onRequestDrain`. */
  send(bytes: Buffer): boolean {
    if (this.#connection.write(bytes)) return true;
    this.#connection.expireIn(this.#timeouts.responseMs);
    return false;
  }

  /** The request is complete; from now on the server's time runs. */
  endRequest(): void {
    this.#isRequestEnded = true;
    if (this.#handler !== undefined) this.#connection.expireIn(this.#timeouts.responseMs);
  }

  pauseResponse(): void {
    this.#isPaused = true;
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#isRequestEnded) this.#connection.expireIn(this.#timeouts.responseMs);
    this.#pull();
  }

  /** Gives the exchange up. An unfinished response makes the connection useless. */
  abort(reason: string): void {
    this.#handler = undefined;
    this.#end(reason);
  }

  /** Waits for the next exchange. */
  rest(): void {
    this.#connection.expireIn(this.#idleMs);
  }

  close(): void {
    this.#end(undefined);
  }

  onData(bytes: Buffer): void {
    if (this.#handler === undefined) {
      // Bytes that nobody asked for must not become the answer to the next request.
      this.#end('the server sent bytes while no response was due');
      return;
    }
    this.#decoder.push(bytes);
    this.#pull();
  }

  onDrain(): void {
    if (this.#isRequestEnded) this.#connection.expireIn(this.#timeouts.responseMs);
    else this.#connection.neverExpire();
    this.#handler?.onRequestDrain();
  }

  onEnd(): void {
    this.#hasPeerEnded = true;
    if (this.#handler === undefined) this.#end(undefined);
    else this.#pull();
  }

  onDeadline(): void {
    // A client that does not read is timed on its own side.
    if (this.#isPaused && this.#handler !== undefined) return;
    if (this.#handler === undefined) this.#end(undefined);
    else this.#fail({ code: 'timeout', detail: 'the server did not answer in time' });
  }

  onClose(reason: string | undefined): void {
    if (this.#handler !== undefined) {
      const code = this.#hasResponseBegun ? 'cut_off' : 'lost';
      this.#fail({ code, detail: reason ?? 'the server closed the connection' });
      return;
    }
    this.#end(reason);
  }

  #pull(): void {
    if (this.#isPulling) return;
    this.#isPulling = true;
    let wantsMore = true;
    while (wantsMore && !this.#isPaused && this.#handler !== undefined) {
      wantsMore = this.#pullOne(this.#handler);
    }
    this.#isPulling = false;
    if (this.#isOver) return;
    if (this.#isPaused && this.#handler !== undefined) this.#connection.pause();
    else this.#connection.resume();
  }

  /** False when the decoder has nothing more to give. */
  #pullOne(handler: ResponseHandler): boolean {
    const event = this.#hasPeerEnded ? this.#decoder.finish() : this.#decoder.next();
    switch (event.kind) {
      case 'need_more':
        if (this.#isRequestEnded) this.#connection.expireIn(this.#timeouts.responseMs);
        break;
      case 'head':
        this.#onHead(event.head, handler);
        break;
      case 'data':
        handler.onResponseBody(event.bytes);
        break;
      case 'end':
        this.#onMessageEnd(handler, event.trailers);
        break;
      case 'error':
        this.#fail({ code: this.#failureOf(event.code), detail: event.detail });
    }
    return event.kind === 'head' || event.kind === 'data';
  }

  #failureOf(code: Http1ErrorCode): ResponseFailure['code'] {
    if (code === 'response_missing' && !this.#hasResponseBegun) return 'lost';
    return code === 'truncated' || code === 'response_missing' ? 'cut_off' : 'bad';
  }

  #onHead(head: ResponseHead, handler: ResponseHandler): void {
    this.#hasResponseBegun = true;
    if (head.interim) {
      handler.onInterimHead(head);
      return;
    }
    this.#keepsAlive = head.keepAlive;
    if (head.headers.hasKnown(knownField.keepAlive)) this.#heedKeepAlive(head);
    handler.onResponseHead(head);
  }

  /** A server that says how long it waits is believed: a request sent as it closes would be lost. */
  #heedKeepAlive(head: ResponseHead): void {
    const seconds = /\btimeout=(\d{1,6})\b/i.exec(
      head.headers.known(knownField.keepAlive) ?? '',
    )?.[1];
    if (seconds === undefined) return;
    const statedMs = Math.max(Number(seconds) * 1000 - keepAliveMarginMs, 0);
    this.#idleMs = Math.min(this.#timeouts.idleMs, statedMs);
  }

  #onMessageEnd(handler: ResponseHandler, trailers: HeaderBlock | undefined): void {
    this.#handler = undefined;
    const isReusable =
      this.#keepsAlive && this.#isRequestEnded && this.isUsable && this.#decoder.isIdle;
    // Back to the pool first: the next pipelined request, begun by `onResponseEnd`, can then have it.
    if (isReusable) this.#owner.onExchangeOver(this, true);
    else this.#end(undefined);
    handler.onResponseEnd(trailers);
  }

  #fail(failure: ResponseFailure): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#end(failure.detail);
    handler?.onResponseFailure(failure);
  }

  #end(reason: string | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onConnectionLost(this);
    this.#connection.destroy(reason);
  }
}

// Our clocks differ by the way the response took and the precision of our timers.
const keepAliveMarginMs = 1000;
