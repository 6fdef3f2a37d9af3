/** The upstream half of HTTP/1.1: one connection, one exchange at a time, back to its pool in between. */

import type { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import type { Fields } from '../protocol/fields.ts';
import type { HeaderBlock } from '../protocol/http1/header-block.ts';
import { http1Codec } from '../protocol/http1/http1-codec.ts';
import type { Http1ErrorCode } from '../protocol/http1/http1-event.ts';
import { knownField } from '../protocol/http1/known-field.ts';
import type { ResponseHead } from '../protocol/http1/response-head.ts';
import { encodeTranslatedRequestHead } from '../protocol/translation/request-to-http1.ts';
import type { ExclusiveConnection, ExclusiveOwner } from './exchange-protocol.ts';
import type {
  ClientTimeouts,
  OutgoingRequest,
  ResponseFailure,
  ResponseHandler,
} from './stream.ts';

const { encode } = http1Codec;

export class ClientConnection implements ConnectionListener, ExclusiveConnection {
  /** Which TLS material it was made under. */
  readonly generation: number;
  readonly #connection: Connection;
  readonly #owner: ExclusiveOwner;
  readonly #timeouts: ClientTimeouts;
  readonly #decoder = http1Codec.decode.responses();
  #handler: ResponseHandler | undefined;
  #isRequestChunked = false;
  #exchanges = 0;
  #idleMs: number;
  #isRequestEnded = true;
  #hasResponseBegun = false;
  #isResponseEnded = false;
  #isPaused = false;
  #isPulling = false;
  #hasPeerEnded = false;
  #isBroken = false;
  /** Nothing but the end of the connection tells the end of the response. */
  #endsByClose = false;
  #keepsAlive = true;
  #isTunnel = false;
  #isOver = false;

  constructor(
    connection: Connection,
    generation: number,
    owner: ExclusiveOwner,
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

  start({ head, edits }: OutgoingRequest, handler: ResponseHandler): void {
    this.#exchanges += 1;
    this.#handler = handler;
    this.#isRequestEnded = false;
    this.#hasResponseBegun = false;
    this.#keepsAlive = true;
    this.#endsByClose = false;
    this.#isPaused = false;
    this.#connection.neverExpire();
    // The method, and the protocols that are offered, decide how the response is framed.
    this.#decoder.expect(head.method, edits.upgrade);
    if (head.protocol === 'http1') {
      this.#isRequestChunked = head.framing.kind === 'chunked';
      this.#send(encode.requestHead(head, edits));
    } else {
      this.#isRequestChunked = !head.isWhole && head.contentLength === undefined;
      this.#send(encodeTranslatedRequestHead(head, edits));
    }
  }

  sendBody(bytes: Buffer): boolean {
    return this.#send(this.#isRequestChunked ? encode.body(bytes) : bytes);
  }

  #send(bytes: Buffer): boolean {
    if (this.#connection.write(bytes)) return true;
    // A tunnel is timed on the side of the client.
    if (this.#isTunnel) return false;
    this.#connection.expireIn(this.#timeouts.responseMs);
    return false;
  }

  endRequest(trailers: Fields | undefined): void {
    if (this.#isRequestChunked) this.#send(encode.end(trailers));
    this.#isRequestEnded = true;
    if (this.#isTunnel) {
      this.#connection.end();
      if (this.#isResponseEnded) this.#leaveTunnel();
      return;
    }
    if (this.#handler !== undefined) this.#connection.expireIn(this.#timeouts.responseMs);
  }

  pauseResponse(): void {
    this.#isPaused = true;
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#awaitResponse();
    this.#pull();
  }

  /** An unfinished response makes the connection useless. */
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
    if (this.#isRequestEnded) this.#awaitResponse();
    else this.#connection.neverExpire();
    this.#handler?.onRequestDrain();
  }

  onEnd(isBroken: boolean): void {
    this.#hasPeerEnded = true;
    this.#isBroken = isBroken;
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
    // After the server's end there is little left, and it is given out at once: the socket may go meanwhile.
    while (wantsMore && (!this.#isPaused || this.#hasPeerEnded) && this.#handler !== undefined) {
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
        this.#awaitResponse();
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

  #awaitResponse(): void {
    if (this.#isRequestEnded && !this.#isTunnel) {
      this.#connection.expireIn(this.#timeouts.responseMs);
    }
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
    const { kind } = head.framing;
    this.#endsByClose = kind === 'tunnel' || kind === 'until_close';
    if (head.framing.kind === 'tunnel') {
      this.#isTunnel = true;
      this.#isRequestChunked = false;
      this.#isRequestEnded = false;
      this.#connection.neverExpire();
    }
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
    if (this.#isBroken && this.#endsByClose) {
      // RFC 9112 §9.8: an incomplete close is an incomplete message.
      this.#fail({ code: 'cut_off', detail: 'the server broke off TLS without close_notify' });
      return;
    }
    if (this.#isTunnel) {
      this.#onTunnelEnd(handler);
      return;
    }
    this.#handler = undefined;
    const isReusable =
      this.#keepsAlive && this.#isRequestEnded && this.isUsable && this.#decoder.isIdle;
    // Back to the pool first: the next pipelined request, begun by `onResponseEnd`, can then have it.
    if (isReusable) this.#owner.onExchangeOver(this);
    else this.#end(undefined);
    handler.onResponseEnd(trailers);
  }

  /** The client's side may go on, so that only the end of both ends the connection. */
  #onTunnelEnd(handler: ResponseHandler): void {
    this.#isResponseEnded = true;
    if (this.#isRequestEnded) this.#leaveTunnel();
    handler.onResponseEnd(undefined);
  }

  /** The socket goes by itself once the server has taken the last byte, for which it has so long. */
  #leaveTunnel(): void {
    this.#handler = undefined;
    this.#connection.expireIn(this.#timeouts.idleMs);
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
    if (this.#isTunnel && reason !== undefined) this.#connection.breakOff(reason);
    else this.#connection.destroy(reason);
  }
}

// Our clocks differ by the way the response took and the precision of our timers.
const keepAliveMarginMs = 1000;
