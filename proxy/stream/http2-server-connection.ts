/** The downstream half of HTTP/2: one connection, its requests side by side. */

import { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import { errorCode, formatErrorCode, type Http2Fault } from '../protocol/http2/error-code.ts';
import { http2Codec } from '../protocol/http2/http2-codec.ts';
import type { Http2Stream } from '../protocol/http2/http2-stream.ts';
import type { Http2RequestHead } from '../protocol/http2/request-head.ts';
import { Http2Session, type SessionEvents } from '../protocol/http2/session.ts';
import { upgradeRequest } from '../protocol/translation/extended-connect.ts';
import type { Drainable, ServerDeps, ServerOwner } from './exchange-protocol.ts';
import { Http2ServerStream } from './http2-server-stream.ts';
import type { ClientAbort, RequestListener } from './stream.ts';

export class Http2ServerConnection implements ConnectionListener, SessionEvents, Drainable {
  readonly #connection: Connection;
  readonly #listener: RequestListener;
  readonly #owner: ServerOwner;
  readonly #deps: ServerDeps;
  readonly #session: Http2Session;
  #isSocketFull = false;
  /** Bytes written since the socket was full. */
  #unread = 0;
  #hasHeard = false;
  #isProbing = false;
  #isOver = false;
  #openHead: number | undefined;
  /** When the head that has begun must have ended; undefined while none has. */
  #headDeadlineMs: number | undefined;
  /** Why the connection ends before its streams do. */
  #loss: ClientAbort = 'gone';

  constructor(
    connection: Connection,
    listener: RequestListener,
    owner: ServerOwner,
    deps: ServerDeps,
  ) {
    this.#connection = connection;
    this.#listener = listener;
    this.#owner = owner;
    this.#deps = deps;
    this.#session = new Http2Session(
      { role: 'server', clock: deps.clock, allowsExtendedConnect: deps.upgrades.size > 0 },
      this,
    );
    connection.expireIn(deps.timeouts.headMs);
    connection.attach(this);
    this.#session.start();
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

  /** Lets requests under way end and takes no others (RFC 9113 §6.8): first a word, then the end. */
  drain(): void {
    this.#session.shutdown();
    this.#endIfDone();
  }

  onRetire(): void {
    this.drain();
  }

  onData(bytes: Buffer): void {
    this.#hasHeard = true;
    http2Codec.decode(this.#session, bytes);
    this.#timeHead();
    this.#endIfDone();
  }

  onFlush(): void {
    let hasRoom = true;
    for (const part of http2Codec.encode(this.#session)) {
      if (this.#isSocketFull) this.#unread += part.length;
      hasRoom = this.#connection.write(part);
    }
    // A client that asks on and reads no answer is not read either: heads wait for no window.
    if (this.#unread > unreadBytesMax) this.#connection.pause();
    if (hasRoom || this.#isSocketFull) return;
    this.#isSocketFull = true;
    this.#session.setSocketFull(true);
    // A client that reads nothing holds upstream streams, so it has only so long.
    this.#connection.expireIn(this.#deps.timeouts.idleMs);
  }

  onDrain(): void {
    this.#isSocketFull = false;
    // Its head could not go on while nobody read it.
    if (this.#unread > unreadBytesMax && this.#openHead !== undefined) this.#startHeadClock();
    this.#unread = 0;
    this.#timeIdleness();
    this.#connection.resume();
    this.#session.setSocketFull(false);
  }

  /** As with HTTP/1.1, a client that sends nothing more is taken for one that has left. */
  onEnd(): void {
    if (this.#session.openCount === 0) this.#finish();
    else this.#connection.destroy('the client closed the connection');
  }

  /**
   * With streams open, silence is broken by a PING: a client that has vanished without a word would hold
   * streams of servers for as long as those have nothing to say.
   */
  onDeadline(): void {
    if (this.#isSocketFull) {
      this.#lose('unread', 'the client does not read');
      return;
    }
    if (this.#headDeadlineMs !== undefined) {
      this.#owner.onGivenUp('head', this);
      this.#session.close(errorCode.enhanceYourCalm, 'a head that does not end in time');
      this.#finish();
      return;
    }
    if (this.#session.openCount > 0) {
      this.#probe();
      return;
    }
    this.#owner.onGivenUp('idle', this);
    // Whatever the client has sent meanwhile is named as not looked at, and can be sent again.
    this.#session.finishShutdown();
    this.#finish();
  }

  onClose(): void {
    this.#isOver = true;
    this.#session.abandon('the client is gone');
    this.#owner.onConnectionClosed(this);
  }

  /** Why its requests have lost the client. */
  get loss(): ClientAbort {
    return this.#loss;
  }

  /** The client did not take the end of an answer that we were done with. */
  onUnread(): void {
    this.#owner.onGivenUp('unread', this);
  }

  onRequest(stream: Http2Stream, head: Http2RequestHead): void {
    this.#timeIdleness();
    const exchange = this.#exchange(stream, head.method === 'HEAD');
    if (head.connectProtocol !== undefined) {
      this.#onConnect(exchange, head, head.connectProtocol);
      return;
    }
    const handler = this.#listener.onRequest(head, exchange);
    // RFC 9113 §8.5: what follows the head of a CONNECT is the tunnel's.
    if (head.method === 'CONNECT') exchange.beginConnect(handler);
    else exchange.begin(handler);
  }

  /** RFC 8441 §4. From here on it is the upgrade that it would be in HTTP/1.1. */
  #onConnect(exchange: Http2ServerStream, head: Http2RequestHead, protocol: string): void {
    if (!this.#deps.upgrades.has(protocol.toLowerCase())) {
      this.#listener.onBadRequest(notCarried, exchange);
      return;
    }
    const request = upgradeRequest(head, Buffer.from(this.#deps.requestIds.next(), 'hex'));
    if ('kind' in request) this.#listener.onBadRequest(request, exchange);
    else exchange.beginConnect(this.#listener.onRequest(request, exchange));
  }

  onOversizedRequest(stream: Http2Stream): void {
    const exchange = this.#exchange(stream, false);
    this.#listener.onBadRequest(oversized, exchange);
  }

  onOutput(): void {
    this.#connection.requestFlush();
  }

  onReady(): void {
    this.#timeIdleness();
  }

  /** A client that goes away asks for no more streams, and lets those end that it has. */
  onGoaway(): void {}

  onIdle(): void {
    this.#timeIdleness();
    this.#endIfDone();
  }

  onFault(fault: Http2Fault): void {
    this.#owner.onProtocolError({ code: formatErrorCode(fault.code), detail: fault.detail }, this);
    this.#finish();
  }

  #exchange(stream: Http2Stream, isHead: boolean): Http2ServerStream {
    const exchange = new Http2ServerStream(stream, this, isHead, this.#deps);
    stream.consumer = exchange;
    return exchange;
  }

  #probe(): void {
    if (this.#isProbing && !this.#hasHeard) {
      this.#lose('silent', 'the client does not answer');
      return;
    }
    this.#isProbing = !this.#hasHeard;
    this.#hasHeard = false;
    if (this.#isProbing) http2Codec.heartbeat.probe(this.#session);
    this.#timeIdleness();
  }

  #timeIdleness(): void {
    // Who does not read is timed already.
    if (this.#isSocketFull) return;
    if (this.#headDeadlineMs === undefined) {
      this.#connection.expireIn(this.#deps.timeouts.idleMs);
    } else {
      this.#connection.deadlineMs = this.#headDeadlineMs;
    }
  }

  /** As in HTTP/1.1, the time for a head runs from its beginning, and no further byte lengthens it. */
  #timeHead(): void {
    const { openHead } = this.#session;
    if (openHead === this.#openHead || this.#isOver) return;
    this.#openHead = openHead;
    if (openHead === undefined) this.#headDeadlineMs = undefined;
    else this.#startHeadClock();
    this.#timeIdleness();
  }

  #startHeadClock(): void {
    this.#headDeadlineMs = this.#deps.deadlines.in(this.#deps.timeouts.headMs);
  }

  /** Requests under way hear of it as the connection closes; where there is none, the owner does. */
  #lose(why: 'unread' | 'silent', reason: string): void {
    this.#loss = why;
    if (why === 'silent' || this.#session.openCount === 0) this.#owner.onGivenUp(why, this);
    this.#connection.destroy(reason);
  }

  /** After the last word of a graceful end, once nothing is under way. */
  #endIfDone(): void {
    if (!this.#session.isShut || this.#session.openCount > 0 || this.#isOver) return;
    this.#session.close(errorCode.noError, '');
    this.#finish();
  }

  /** What was written goes out, what still comes is dropped. */
  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.onFlush();
    this.#connection.endAndDiscard(this.#deps.timeouts.idleMs, {
      onUntaken: () => this.onUnread(),
      onOver: () => this.#owner.onConnectionClosed(this),
    });
    this.#session.abandon('the connection has ended');
  }
}

// Some thousand heads.
const unreadBytesMax = 256 * 1024;
const notCarried = Object.freeze({
  status: 501,
  detail: 'this protocol is not carried on this listener',
});
const oversized = Object.freeze({ status: 431, detail: 'the head of the request is too large' });
