/** The downstream half of HTTP/1.1: one connection, its requests strictly one after the other. */

import type { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import type { HeaderBlock } from '../protocol/http1/header-block.ts';
import type { Http1ErrorEvent } from '../protocol/http1/http1-event.ts';
import { RequestDecoder } from '../protocol/http1/request-decoder.ts';
import type { RequestHead } from '../protocol/http1/request-head.ts';

/** Whoever answers requests. */
export interface RequestListener {
  /** A request has begun. Who is returned is started at once and takes the rest of it. */
  onRequest(head: RequestHead, stream: ServerConnection): RequestHandler;
  /** What came is no request. The listener answers with its status and closes. */
  onBadRequest(error: Http1ErrorEvent, stream: ServerConnection): void;
  /** The head did not arrive in time. As above. */
  onSlowHead(stream: ServerConnection): void;
  onConnectionClosed(stream: ServerConnection): void;
}

/** The rest of one request. After `endResponse` or an abort nothing more is called. */
export interface RequestHandler {
  start(): void;
  onRequestBody(bytes: Buffer): void;
  onRequestEnd(trailers: HeaderBlock | undefined): void;
  /** The body cannot be read on; the response may still be sent if it has not begun. */
  onRequestFailure(failure: RequestFailure): void;
  /** The client is gone. */
  onClientAbort(): void;
  /** There is room again after a `send` that answered false. */
  onResponseDrain(): void;
}

export interface RequestFailure {
  readonly status: number;
  readonly detail: string;
}

export interface ServerTimeouts {
  readonly headMs: number;
  readonly idleMs: number;
}

/** Pulls the decoder only as far as the request under way goes, which keeps pipelined requests in order. */
export class ServerConnection implements ConnectionListener {
  readonly #connection: Connection;
  readonly #listener: RequestListener;
  readonly #timeouts: ServerTimeouts;
  readonly #decoder = new RequestDecoder();
  #handler: RequestHandler | undefined;
  #isRequestEnded = true;
  #isPaused = false;
  #isPulling = false;
  #isDraining = false;
  #isOver = false;
  #isHeadBegun = false;

  constructor(connection: Connection, listener: RequestListener, timeouts: ServerTimeouts) {
    this.#connection = connection;
    this.#listener = listener;
    this.#timeouts = timeouts;
    connection.expireIn(timeouts.idleMs);
    connection.attach(this);
  }

  get peer(): Connection['peer'] {
    return this.#connection.peer;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  /** Whether the connection ends with the response under way, so that its head should say so. */
  get isLast(): boolean {
    return this.#isDraining;
  }

  /** Whether the whole request has been read, without which the connection cannot be kept. */
  get isRequestRead(): boolean {
    return this.#isRequestEnded;
  }

  /** Bytes of the response, encoded. False asks for a pause until `onResponseDrain`. */
  send(bytes: Buffer): boolean {
    if (this.#connection.write(bytes)) return true;
    // A client that reads nothing holds an upstream connection, so it has only so long.
    this.#connection.expireIn(this.#timeouts.idleMs);
    return false;
  }

  /** The response is complete. The next request, if there is one, begins inside this call. */
  endResponse(keepsAlive: boolean): void {
    this.#handler = undefined;
    // What is left of an unread request could not be told from the next one without reading it all.
    if (!keepsAlive || !this.#isRequestEnded || this.#isDraining) {
      this.#finish();
      return;
    }
    this.#connection.expireIn(this.#timeouts.idleMs);
    this.#isPaused = false;
    this.#isHeadBegun = false;
    this.#pull();
  }

  /** Ends without a complete response: the client must see that it is cut off. */
  abort(reason: string): void {
    this.#handler = undefined;
    this.#connection.destroy(reason);
  }

  /** Stops reading the body, for example because upstream takes no more. */
  pauseRequest(): void {
    this.#isPaused = true;
  }

  resumeRequest(): void {
    this.#isPaused = false;
    this.#pull();
  }

  /** Lets the request under way end and takes no other. */
  drain(): void {
    this.#isDraining = true;
    if (this.#handler === undefined && this.#decoder.isIdle) this.#finish();
  }

  onData(bytes: Buffer): void {
    this.#decoder.push(bytes);
    this.#pull();
  }

  onDrain(): void {
    this.#connection.neverExpire();
    this.#handler?.onResponseDrain();
  }

  /**
   * The client sends nothing more. As other proxies do, we take that for leaving: a closed socket
   * looks the same, and work for nobody should stop.
   */
  onEnd(): void {
    if (this.#handler !== undefined) this.#abortRequest('the client closed the connection');
    else if (this.#decoder.isIdle) this.#finish();
    else this.#connection.destroy('the client closed in the middle of a head');
  }

  onDeadline(): void {
    const handler = this.#handler;
    if (handler === undefined) {
      if (this.#decoder.isIdle) this.#finish();
      else this.#listener.onSlowHead(this);
    } else if (this.#isRequestEnded) {
      this.#abortRequest('the client does not read the response');
    } else {
      handler.onRequestFailure({ status: 408, detail: 'the body of the request came too slowly' });
    }
  }

  onClose(): void {
    this.#isOver = true;
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClientAbort();
    this.#listener.onConnectionClosed(this);
  }

  /** Nothing more is owed to the client: what was written goes out, what still comes is dropped. */
  #finish(): void {
    this.#isOver = true;
    this.#connection.endAndDiscard();
    this.#listener.onConnectionClosed(this);
  }

  #abortRequest(reason: string): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClientAbort();
    this.#connection.destroy(reason);
  }

  #pull(): void {
    // A handler may call back into this loop; the outer turn of it goes on then.
    if (this.#isPulling) return;
    this.#isPulling = true;
    let wantsMore = true;
    while (wantsMore && !this.#isOver && this.#mayPull()) wantsMore = this.#pullOne();
    this.#isPulling = false;
    if (this.#isOver) return;
    if (wantsMore && this.#decoder.bufferedBytes > 0) this.#connection.pause();
    else if (!this.#isPaused) this.#connection.resume();
    else this.#connection.pause();
  }

  /** Between requests, and while the body of one is being passed on. */
  #mayPull(): boolean {
    return this.#handler === undefined || (!this.#isRequestEnded && !this.#isPaused);
  }

  /** False when the decoder has nothing more to give. */
  #pullOne(): boolean {
    const event = this.#decoder.next();
    switch (event.kind) {
      case 'need_more':
        this.#onNothing();
        break;
      case 'head':
        this.#begin(event.head);
        break;
      case 'data':
        this.#connection.expireIn(this.#timeouts.idleMs);
        this.#handler?.onRequestBody(event.bytes);
        break;
      case 'end':
        this.#isRequestEnded = true;
        this.#connection.neverExpire();
        this.#handler?.onRequestEnd(event.trailers);
        break;
      case 'error':
        this.#onError(event);
    }
    return event.kind !== 'need_more' && event.kind !== 'error';
  }

  #begin(head: RequestHead): void {
    const { framing } = head;
    const hasBody = framing.kind !== 'none' && !(framing.kind === 'length' && framing.length === 0);
    // Without a body the end follows at once, and is known before anybody decides how to answer.
    if (!hasBody) this.#decoder.next();
    this.#isRequestEnded = !hasBody;
    this.#connection.neverExpire();
    const handler = this.#listener.onRequest(head, this);
    this.#handler = handler;
    handler.start();
    if (!hasBody) this.#handler?.onRequestEnd(undefined);
  }

  /** The time for a head runs from its first byte, and further bytes do not lengthen it. */
  #onNothing(): void {
    if (this.#handler !== undefined) {
      if (!this.#isRequestEnded) this.#connection.expireIn(this.#timeouts.idleMs);
      return;
    }
    if (this.#isHeadBegun || this.#decoder.isIdle) return;
    this.#isHeadBegun = true;
    this.#connection.expireIn(this.#timeouts.headMs);
  }

  #onError(error: Http1ErrorEvent): void {
    if (this.#handler === undefined) {
      this.#isRequestEnded = false;
      this.#listener.onBadRequest(error, this);
    } else {
      this.#handler.onRequestFailure({ status: error.status, detail: error.detail });
    }
  }
}
