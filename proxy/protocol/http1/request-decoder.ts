/** Requests out of the bytes of one connection, one after the other. */

import type { Buffer } from 'node:buffer';
import { type ByteDecoder, type NeedMore, needMore } from '../byte-decoder.ts';
import { BodyDecoder } from './body-decoder.ts';
import { FieldScanner } from './field-scanner.ts';
import { type Http1BodyEvent, type Http1ErrorEvent, refuse } from './http1-event.ts';
import { defaultHttp1Limits, type Http1Limits } from './limits.ts';
import { tunnel } from './message-framing.ts';
import { ReceiveBuffer } from './receive-buffer.ts';
import { type RequestHead, readRequestHead } from './request-head.ts';
import { RequestLineScanner } from './request-line-scanner.ts';

export interface RequestHeadEvent {
  readonly kind: 'head';
  readonly head: RequestHead;
}

export type Http1RequestEvent = RequestHeadEvent | Http1BodyEvent;

/**
 * Decodes pipelined requests: `head`, any number of `data`, `end`, and again. No byte of a request
 * is given out before its whole head was found right. An error is final. After a request that does
 * not keep the connection (RFC 9112 §9.6) further bytes are thrown away; those after CONNECT are held,
 * since only the answer says whether they are a tunnel's.
 *
 * @example
 * decoder.push(chunk);
 * for (let event = decoder.next(); event.kind !== 'need_more'; event = decoder.next()) handle(event);
 */
export class RequestDecoder implements ByteDecoder<Http1RequestEvent> {
  readonly #limits: Http1Limits;
  readonly #buffer = new ReceiveBuffer();
  readonly #line: RequestLineScanner;
  readonly #fields: FieldScanner;
  readonly #body: BodyDecoder;
  #phase: 'line' | 'fields' | 'body' | 'held' | 'closed' = 'line';
  #keepAlive = true;
  #isConnect = false;
  #isFinished = false;
  #failure: Http1ErrorEvent | undefined;

  constructor(limits: Http1Limits = defaultHttp1Limits) {
    this.#limits = limits;
    this.#line = new RequestLineScanner(limits.startLineBytesMax);
    this.#fields = new FieldScanner(limits);
    this.#body = new BodyDecoder(limits);
  }

  get bufferedBytes(): number {
    return this.#buffer.length;
  }

  /** Whether no request has begun: the connection may be closed without loss. */
  get isIdle(): boolean {
    return this.#phase === 'closed' || (this.#phase === 'line' && this.#buffer.length === 0);
  }

  push(chunk: Buffer): void {
    if (this.#failure !== undefined || this.#phase === 'closed') return;
    if (this.#buffer.length + chunk.length > this.#limits.bufferedBytesMax) {
      this.#fail(
        refuse('buffer_overflow', `more than ${this.#limits.bufferedBytesMax} bytes wait`, 413),
      );
      return;
    }
    this.#buffer.push(chunk);
  }

  next(): Http1RequestEvent {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#phase === 'closed' || this.#phase === 'held') return needMore;
    if (this.#phase !== 'body') return this.#nextHead();
    const event = this.#body.next(this.#buffer);
    if (event.kind === 'need_more' && this.#isFinished && this.#body.endsWithConnection) {
      this.#endMessage();
      return { kind: 'end' };
    }
    if (event.kind === 'error') return this.#fail(event);
    if (event.kind === 'end') this.#endMessage();
    return event;
  }

  /**
   * The last request was answered by a change of protocol: whatever follows it, `data` and one `end`,
   * is the tunnel's and is not looked at.
   */
  openTunnel(): void {
    this.#body.begin(tunnel);
    this.#keepAlive = false;
    this.#isConnect = false;
    this.#phase = 'body';
  }

  /** The client closed its side. Returns the next event as `next()` does; a tunnel then has an `end`. */
  finish(): Http1RequestEvent {
    this.#isFinished = true;
    return this.next();
  }

  #nextHead(): RequestHeadEvent | NeedMore | Http1ErrorEvent {
    const buffer = this.#buffer;
    for (;;) {
      const scanner = this.#phase === 'line' ? this.#line : this.#fields;
      const result = scanner.scan(buffer.bytes, buffer.start, buffer.end - buffer.start);
      if (result === 'more') {
        if (!buffer.extend()) return needMore;
      } else if (result !== 'done') {
        return this.#fail(result);
      } else if (this.#phase === 'fields') {
        break;
      } else {
        this.#phase = 'fields';
        this.#fields.reset(this.#line.position);
      }
    }
    const raw = buffer.take(this.#fields.position);
    const head = readRequestHead(raw, this.#line, this.#fields.scanned, this.#limits.bodyBytesMax);
    if ('kind' in head) return this.#fail(head);
    this.#keepAlive = head.keepAlive;
    this.#isConnect = head.method === 'CONNECT';
    this.#body.begin(head.framing);
    this.#phase = 'body';
    return { kind: 'head', head };
  }

  #endMessage(): void {
    this.#line.reset();
    if (this.#isConnect) {
      this.#phase = 'held';
      return;
    }
    this.#phase = this.#keepAlive ? 'line' : 'closed';
    if (!this.#keepAlive) this.#buffer.clear();
  }

  #fail(event: Http1ErrorEvent): Http1ErrorEvent {
    this.#failure = event;
    this.#buffer.clear();
    return event;
  }
}
