/** Responses out of the bytes of one upstream connection, each for a request that was announced. */

import type { Buffer } from 'node:buffer';
import { type ByteDecoder, type NeedMore, needMore } from '../byte-decoder.ts';
import { BodyDecoder } from './body-decoder.ts';
import { FieldScanner } from './field-scanner.ts';
import { asBadGateway, type Http1BodyEvent, type Http1ErrorEvent, refuse } from './http1-event.ts';
import { defaultHttp1Limits, type Http1Limits } from './limits.ts';
import { ReceiveBuffer } from './receive-buffer.ts';
import { type DueResponse, type ResponseHead, readResponseHead } from './response-head.ts';
import { StatusLineScanner } from './status-line-scanner.ts';

export interface ResponseHeadEvent {
  readonly kind: 'head';
  readonly head: ResponseHead;
  /** A 1xx head: no `end` follows it, the next event belongs to the next head. */
  readonly interim: boolean;
}

export type Http1ResponseEvent = ResponseHeadEvent | Http1BodyEvent;

/**
 * Decodes responses: any number of interim `head`s, then `head`, `data`…, `end`. A tunnel's bytes are
 * `data` too, and its `end` is the server's. A byte that no
 * announced request accounts for is an error, so that a server cannot have its answer to one client
 * waiting for the next. Errors are final and have status 502.
 */
export class ResponseDecoder implements ByteDecoder<Http1ResponseEvent> {
  readonly #limits: Http1Limits;
  readonly #buffer = new ReceiveBuffer();
  readonly #line: StatusLineScanner;
  readonly #fields: FieldScanner;
  readonly #body: BodyDecoder;
  readonly #due: DueResponse[] = [];
  #phase: 'line' | 'fields' | 'body' | 'closed' = 'line';
  #keepAlive = true;
  #interims = 0;
  #isFinished = false;
  #failure: Http1ErrorEvent | undefined;

  constructor(limits: Http1Limits = defaultHttp1Limits) {
    this.#limits = limits;
    this.#line = new StatusLineScanner(limits.startLineBytesMax);
    this.#fields = new FieldScanner(limits);
    this.#body = new BodyDecoder(limits);
  }

  get bufferedBytes(): number {
    return this.#buffer.length;
  }

  /** Whether every announced request has been answered in full and nothing else has come. */
  get isIdle(): boolean {
    return (
      this.#failure === undefined &&
      this.#phase === 'line' &&
      this.#due.length === 0 &&
      this.#buffer.length === 0
    );
  }

  /**
   * Announces a request: one more response is due, to a request with this method that offered to
   * change to these protocols.
   */
  expect(method: string, upgrade?: string): void {
    // What came before the request was sent is no answer to it.
    if (this.#phase === 'line' && this.#due.length === 0 && this.#buffer.length > 0) {
      this.#fail(unsolicited);
    }
    this.#due.push({ method, upgrade });
  }

  push(chunk: Buffer): void {
    if (this.#failure !== undefined || this.#phase === 'closed') return;
    if (this.#buffer.length + chunk.length > this.#limits.bufferedBytesMax) {
      this.#fail(
        refuse('buffer_overflow', `more than ${this.#limits.bufferedBytesMax} bytes wait`),
      );
      return;
    }
    this.#buffer.push(chunk);
  }

  next(): Http1ResponseEvent {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#phase === 'closed') return needMore;
    if (this.#phase !== 'body') return this.#nextHead();
    const event = this.#body.next(this.#buffer);
    if (event.kind === 'need_more' && this.#isFinished) return this.#endByClose();
    if (event.kind === 'error') return this.#fail(event);
    if (event.kind === 'end') this.#endMessage();
    return event;
  }

  /**
   * The server closed its side: no byte will follow. Returns the next event as `next()` does; once
   * what was pushed has been given out, that is `end` for a body that ends with the connection, an
   * error for a response that is cut off, and `need_more` where nothing was due.
   */
  finish(): Http1ResponseEvent {
    this.#isFinished = true;
    return this.next();
  }

  #nextHead(): ResponseHeadEvent | NeedMore | Http1ErrorEvent {
    const buffer = this.#buffer;
    const [due] = this.#due;
    if (due === undefined) return buffer.length === 0 ? needMore : this.#fail(unsolicited);
    for (;;) {
      const scanner = this.#phase === 'line' ? this.#line : this.#fields;
      const result = scanner.scan(buffer.bytes, buffer.start, buffer.end - buffer.start);
      if (result === 'more') {
        if (!buffer.extend()) return this.#isFinished ? this.#fail(this.#cutOff()) : needMore;
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
    const head = readResponseHead(
      raw,
      this.#line,
      this.#fields.scanned,
      due,
      this.#limits.bodyBytesMax,
    );
    if ('kind' in head) return this.#fail(head);
    return this.#beginMessage(head);
  }

  #beginMessage(head: ResponseHead): ResponseHeadEvent | Http1ErrorEvent {
    this.#line.reset();
    if (head.interim) {
      this.#interims += 1;
      if (this.#interims > this.#limits.interimResponsesMax) {
        return this.#fail(
          refuse('interim_too_many', `more than ${this.#limits.interimResponsesMax} 1xx responses`),
        );
      }
      this.#phase = 'line';
      return { kind: 'head', head, interim: true };
    }
    this.#interims = 0;
    this.#keepAlive = head.keepAlive;
    this.#body.begin(head.framing);
    this.#phase = 'body';
    return { kind: 'head', head, interim: false };
  }

  #endByClose(): Http1ResponseEvent {
    if (!this.#body.endsWithConnection) return this.#fail(truncated);
    this.#endMessage();
    return { kind: 'end' };
  }

  /** A server that closes an idle connection while a request is on its way is no faulty server. */
  #cutOff(): Http1ErrorEvent {
    return this.#buffer.length === 0 && this.#phase === 'line' && this.#interims === 0
      ? missing
      : truncated;
  }

  #endMessage(): void {
    this.#due.shift();
    this.#phase = this.#keepAlive ? 'line' : 'closed';
    if (!this.#keepAlive) this.#buffer.clear();
  }

  #fail(event: Http1ErrorEvent): Http1ErrorEvent {
    this.#failure = asBadGateway(event);
    this.#buffer.clear();
    return this.#failure;
  }
}

const unsolicited = Object.freeze(
  refuse('response_unsolicited', 'bytes arrived while no response was due'),
);
const missing = Object.freeze(
  refuse('response_missing', 'the connection ended before the response began'),
);
const truncated = Object.freeze(
  refuse('truncated', 'the connection ended in the middle of a response'),
);
