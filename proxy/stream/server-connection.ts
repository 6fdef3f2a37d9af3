/** The downstream half of HTTP/1.1: one connection, its requests strictly one after the other. */

import type { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import type { LocalAnswer } from '../protocol/codec.ts';
import type { Fields } from '../protocol/fields.ts';
import { http1Codec } from '../protocol/http1/http1-codec.ts';
import type { Http1ErrorEvent } from '../protocol/http1/http1-event.ts';
import type { RequestHead as Http1RequestHead } from '../protocol/http1/request-head.ts';
import { encodeTranslatedResponseHead } from '../protocol/translation/response-to-http1.ts';
import type { Drainable, ServerOwner } from './exchange-protocol.ts';
import { responseEdits, responseFraming } from './response-framing.ts';
import {
  type ClientAbort,
  hasBody,
  idleTunnel,
  type RequestFailure,
  type RequestHandler,
  type RequestListener,
  type ResponseHead,
  type ServerStream,
  type ServerTimeouts,
  slowBody,
} from './stream.ts';

const { encode } = http1Codec;

/** Pulls the decoder only as far as the request under way goes, which keeps pipelined requests in order. */
export class ServerConnection implements ConnectionListener, ServerStream, Drainable {
  readonly #connection: Connection;
  readonly #listener: RequestListener;
  readonly #owner: Pick<ServerOwner, 'onConnectionClosed' | 'onGivenUp'>;
  readonly #timeouts: ServerTimeouts;
  readonly #decoder = http1Codec.decode.requests();
  #handler: RequestHandler | undefined;
  /** Of the request under way; none where what came is no request. */
  #head: Http1RequestHead | undefined;
  #isResponseChunked = false;
  #keepsAlive = false;
  #isRequestEnded = true;
  #isPaused = false;
  /** The client takes no more of its responses for now. */
  #isBlocked = false;
  #isPulling = false;
  #isDraining = false;
  #isOver = false;
  #isHeadBegun = false;
  #isTunnel = false;
  #hasPeerEnded = false;

  constructor(
    connection: Connection,
    listener: RequestListener,
    owner: Pick<ServerOwner, 'onConnectionClosed' | 'onGivenUp'>,
    timeouts: ServerTimeouts,
  ) {
    this.#connection = connection;
    this.#listener = listener;
    this.#owner = owner;
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

  get endpoints(): Connection['endpoints'] {
    return this.#connection.endpoints;
  }

  sendInterim(head: ResponseHead): void {
    // RFC 9110 §15.2: a client of HTTP/1.0 does not know 1xx.
    if (this.#head?.minorVersion !== 1) return;
    this.#send(
      head.protocol === 'http1' ? encode.responseHead(head) : encodeTranslatedResponseHead(head),
    );
  }

  sendHead(head: ResponseHead): boolean {
    const request = this.#head;
    if (request === undefined) return true;
    const framing = responseFraming(head, request);
    this.#isResponseChunked = framing.kind === 'chunked';
    // An answer before the end of the request is mostly a refusal, and the rest of the request is not read.
    this.#keepsAlive =
      request.keepAlive &&
      framing.kind !== 'until_close' &&
      this.#isRequestEnded &&
      !this.#isDraining;
    const edits = responseEdits(request, framing, this.#keepsAlive);
    return this.#send(
      head.protocol === 'http1'
        ? encode.responseHead(head, edits)
        : encodeTranslatedResponseHead(head, edits),
    );
  }

  sendBody(bytes: Buffer): boolean {
    return this.#send(this.#isResponseChunked ? encode.body(bytes) : bytes);
  }

  endResponse(trailers: Fields | undefined): void {
    if (this.#isResponseChunked) this.#send(encode.end(trailers));
    this.#end(this.#keepsAlive);
  }

  /** The connection is kept where nothing of the request is left unread. */
  reply({ status, fields, body }: LocalAnswer): void {
    const head = this.#head;
    const keepsAlive = head?.keepAlive === true && this.#isRequestEnded && !this.#isDraining;
    this.#send(
      http1Codec.localReply({
        status,
        body,
        headers: fields,
        close: !keepsAlive,
        keepAlive: keepsAlive && head.minorVersion === 0,
        omitBody: head?.method === 'HEAD',
      }),
    );
    this.#end(keepsAlive);
  }

  openTunnel(head: ResponseHead): boolean {
    if (head.protocol !== 'http1') return true;
    const { upgrade } = head;
    const hasRoom = this.#send(encode.responseHead(head, upgrade === undefined ? {} : { upgrade }));
    this.#decoder.openTunnel();
    this.#isTunnel = true;
    this.#isRequestEnded = false;
    this.#isResponseChunked = false;
    this.#keepsAlive = false;
    this.#isPaused = false;
    this.#connection.expireIn(this.#timeouts.tunnelIdleMs);
    this.#pull();
    return hasRoom;
  }

  /** The server's side of a tunnel has ended; the client may send on. */
  endTunnel(): void {
    this.#connection.end();
  }

  #end(keepsAlive: boolean): void {
    this.#handler = undefined;
    this.#head = undefined;
    if (this.#isTunnel) {
      // Both sides have ended: the socket goes by itself once the last byte is out.
      this.#isOver = true;
      this.#connection.end();
      return;
    }
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

  abort(reason: string): void {
    this.#handler = undefined;
    this.#connection.breakOff(reason);
  }

  pauseRequest(): void {
    this.#isPaused = true;
    // A client that is not read from is not slow. Whoever does not take its bytes is timed on the other side.
    if (!this.#isTunnel && !this.#isBlocked) this.#connection.neverExpire();
  }

  resumeRequest(): void {
    this.#isPaused = false;
    this.#pull();
  }

  /** Lets the request under way end and takes no other. */
  drain(): void {
    this.#isDraining = true;
    if (this.#isOver) return;
    if (this.#handler === undefined && this.#decoder.isIdle) this.#finish();
  }

  onRetire(): void {
    this.drain();
  }

  onData(bytes: Buffer): void {
    this.#decoder.push(bytes);
    this.#pull();
  }

  onDrain(): void {
    this.#isBlocked = false;
    if (this.#handler === undefined) {
      if (this.#isOver) return;
      // The next request has waited for the client to take the answers to those before it.
      this.#connection.expireIn(this.#timeouts.idleMs);
      this.#pull();
      return;
    }
    if (!this.#isTunnel) {
      const awaitsBody = !this.#isRequestEnded && !this.#isPaused;
      if (awaitsBody) this.#connection.expireIn(this.#timeouts.idleMs);
      else this.#connection.neverExpire();
    }
    this.#handler.onResponseDrain();
  }

  /**
   * The client sends nothing more, which in a tunnel is one direction's end. Elsewhere, as other proxies do, we take that for leaving: a closed socket
   * looks the same, and work for nobody should stop.
   */
  onEnd(isBroken: boolean): void {
    this.#hasPeerEnded = true;
    if (this.#isTunnel && !isBroken) this.#pull();
    else if (this.#handler !== undefined) this.#abortRequest('gone');
    else if (this.#decoder.isIdle || this.#isBlocked) this.#finish();
    else this.#connection.destroy('the client closed in the middle of a head');
  }

  onDeadline(): void {
    const handler = this.#handler;
    if (this.#isTunnel) {
      if (handler === undefined) this.#connection.destroy();
      else handler.onRequestFailure(idleTunnel);
    } else if (handler === undefined) {
      if (this.#isBlocked) {
        this.#owner.onGivenUp('unread', this);
        this.#connection.destroy('the client does not read');
      } else if (this.#decoder.isIdle) {
        this.#owner.onGivenUp('idle', this);
        this.#finish();
      } else {
        this.#listener.onBadRequest(slowHead, this);
      }
    } else if (this.#isRequestEnded || this.#isBlocked) {
      this.#abortRequest('unread');
    } else {
      handler.onRequestFailure(slowBody);
    }
  }

  onClose(): void {
    this.#isOver = true;
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClientAbort('gone');
    this.#owner.onConnectionClosed(this);
  }

  /** Nothing more is owed to the client: what was written goes out, what still comes is dropped. */
  #finish(): void {
    this.#isOver = true;
    this.#connection.endAndDiscard(this.#timeouts.idleMs, {
      onUntaken: () => this.#owner.onGivenUp('unread', this),
      onOver: () => this.#owner.onConnectionClosed(this),
    });
  }

  #abortRequest(cause: ClientAbort): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClientAbort(cause);
    this.#connection.destroy();
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

  /**
   * Between requests, and while the body of one is being passed on. A client that takes no answers is given no
   * further ones: those of our own cost nobody but us, so that nothing else would hold it back.
   */
  #mayPull(): boolean {
    if (this.#handler === undefined) return !this.#isBlocked;
    return !this.#isRequestEnded && (!this.#isPaused || this.#isAtTunnelEnd);
  }

  /** What is left then is little, and is given out before the socket goes, which it does once both sides have ended. */
  get #isAtTunnelEnd(): boolean {
    return this.#isTunnel && this.#hasPeerEnded;
  }

  /** False when the decoder has nothing more to give. */
  #pullOne(): boolean {
    const event = this.#hasPeerEnded ? this.#decoder.finish() : this.#decoder.next();
    switch (event.kind) {
      case 'need_more':
        this.#onNothing();
        break;
      case 'head':
        this.#begin(event.head);
        break;
      case 'data':
        this.#connection.expireIn(this.#bodyMs);
        this.#handler?.onRequestBody(event.bytes);
        break;
      case 'end':
        this.#isRequestEnded = true;
        if (!this.#isTunnel) this.#connection.neverExpire();
        this.#handler?.onRequestEnd(event.trailers);
        break;
      case 'error':
        this.#onError(event);
    }
    return event.kind !== 'need_more' && event.kind !== 'error';
  }

  #send(bytes: Buffer): boolean {
    const hasRoom = this.#connection.write(bytes);
    this.#isBlocked = !hasRoom;
    if (this.#isTunnel) this.#connection.expireIn(this.#timeouts.tunnelIdleMs);
    // A client that reads nothing holds an upstream connection, so it has only so long.
    else if (!hasRoom) this.#connection.expireIn(this.#timeouts.idleMs);
    return hasRoom;
  }

  #begin(head: Http1RequestHead): void {
    const isEmpty = !hasBody(head);
    // Without a body the end follows at once, and is known before anybody decides how to answer.
    if (isEmpty) this.#decoder.next();
    this.#head = head;
    this.#isResponseChunked = false;
    this.#keepsAlive = false;
    this.#isRequestEnded = isEmpty;
    this.#connection.neverExpire();
    const handler = this.#listener.onRequest(head, this);
    this.#handler = handler;
    handler.start();
    if (isEmpty) this.#handler?.onRequestEnd(undefined);
  }

  get #bodyMs(): number {
    return this.#isTunnel ? this.#timeouts.tunnelIdleMs : this.#timeouts.idleMs;
  }

  /** The time for a head runs from its first byte, and further bytes do not lengthen it. */
  #onNothing(): void {
    if (this.#handler !== undefined) {
      if (!this.#isRequestEnded) this.#connection.expireIn(this.#bodyMs);
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

const slowHead: RequestFailure = Object.freeze({
  status: 408,
  detail: 'the head of the request came too slowly',
  late: 'head',
});
