/** One stream of a session: its state, its windows, and what waits in either direction. */

import type { Buffer } from 'node:buffer';
import { errorCode, type ErrorCode, type Http2Fault, streamFault } from './error-code.ts';
import type { Field } from './field.ts';
import type { FieldList } from './field-list.ts';
import { windowMax } from './frame.ts';
import type { Http2ResponseHead } from './response-head.ts';
import { ReceiveWindow } from './receive-window.ts';
import {
  mayReceive,
  maySend,
  stateAfter,
  type StreamEvent,
  type StreamState,
} from './stream-state.ts';

/** Whoever takes what arrives on a stream. After `onEnd` only `onReset` and `onDrain` may follow. */
export interface StreamConsumer {
  /** At a client: a response's head, interim or final. */
  onHead(head: Http2ResponseHead): void;
  onData(bytes: Buffer): void;
  onEnd(trailers: FieldList | undefined): void;
  /** The stream is over, by the peer's wish or by a fault of it. Nothing follows. */
  onReset(reset: StreamReset): void;
  /** Everything given to `send` is on its way. */
  onDrain(): void;
}

export interface StreamReset {
  readonly code: number;
  readonly detail: string;
  /**
   * `unprocessed`: the peer says that it has done nothing with the request, which may so be sent again.
   * `fault`: what the peer sent was wrong, and we have reset the stream.
   */
  readonly by: 'peer' | 'unprocessed' | 'fault' | 'connection';
}

/** What a stream needs of its session. */
export interface StreamOwner {
  writeHead(stream: Http2Stream, fields: readonly Field[]): void;
  /** Sends what waits as far as windows and socket allow. */
  pump(stream: Http2Stream): void;
  writeReset(stream: Http2Stream, code: ErrorCode): void;
  /** Bytes of DATA have been taken by the consumer. */
  release(stream: Http2Stream, bytes: number): void;
  onClosed(stream: Http2Stream): void;
}

export class Http2Stream {
  readonly id: number;
  readonly #owner: StreamOwner;
  consumer: StreamConsumer | undefined;
  state: StreamState = 'idle';
  /** What the peer lets us send; below zero after it has shrunk its initial window (§6.9.2). */
  sendWindow: number;
  readonly receiveWindow: ReceiveWindow;
  /** Whether the final head came, after which HEADERS are trailers. */
  hasHead = false;
  interims = 0;
  /** At a client: the response has no body, whatever its content-length says. */
  isBodiless = false;
  /** Of a message with content-length: what is still to come (§8.1.1). */
  expectedBytes: number | undefined;

  readonly #sending: Buffer[] = [];
  #sendingBytes = 0;
  #end: readonly Field[] | undefined;
  /** A send answered false, and `onDrain` is owed. */
  #owesDrain = false;
  readonly #held: Buffer[] = [];
  #heldEnd: { readonly trailers: FieldList | undefined } | undefined;
  #isPaused = false;
  #isDelivering = false;

  constructor(id: number, owner: StreamOwner, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.#owner = owner;
    this.sendWindow = sendWindow;
    this.receiveWindow = new ReceiveWindow(receiveWindow);
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  get maySend(): boolean {
    return maySend(this.state) && this.#end === undefined;
  }

  get mayReceive(): boolean {
    return mayReceive(this.state);
  }

  /** Whether something waits for a window or for the socket. */
  get isBlocked(): boolean {
    return this.#sendingBytes > 0;
  }

  /** Moves on; says whether the event was allowed. */
  advance(event: StreamEvent): boolean {
    const next = stateAfter(this.state, event);
    if (next === undefined) return false;
    this.state = next;
    if (next === 'closed') this.#owner.onClosed(this);
    return true;
  }

  /** A head, or trailers by {@link Http2Stream.end}. */
  sendHead(fields: readonly Field[]): void {
    if (this.maySend || this.state === 'idle') this.#owner.writeHead(this, fields);
  }

  /** Takes the bytes, which must not be changed afterwards. False asks for a pause until `onDrain`. */
  send(bytes: Buffer): boolean {
    if (!this.maySend || bytes.length === 0) return true;
    this.#sending.push(bytes);
    this.#sendingBytes += bytes.length;
    this.#owner.pump(this);
    if (this.#sendingBytes === 0) return true;
    this.#owesDrain = true;
    return false;
  }

  /** Nothing more will be sent, but trailers if there are any. */
  end(trailers: readonly Field[] = []): void {
    if (!this.maySend) return;
    this.#end = trailers;
    this.#owner.pump(this);
  }

  /** Gives the stream up in both directions; the consumer hears nothing more. */
  reset(code: ErrorCode): void {
    if (this.isClosed) {
      this.discardReceived();
      return;
    }
    this.#owner.writeReset(this, code);
    this.#drop();
    this.advance('send_reset');
  }

  /** The stream is over without a word of ours: the peer reset it, or the connection is gone. */
  abandon(reset: StreamReset): void {
    const { consumer } = this;
    this.#drop();
    if (!this.advance('receive_reset')) return;
    consumer?.onReset(reset);
  }

  /**
   * The server wants no more of the request after a whole response. §8.1: what of the response waits here
   * is still the client's.
   */
  release(): boolean {
    if (this.#heldEnd === undefined) return false;
    this.#sending.length = 0;
    this.#sendingBytes = 0;
    return this.advance('receive_reset');
  }

  /** What arrives from now on waits here, within the window. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#deliver();
  }

  /** Whether so many bytes of body may come here. */
  checkLength(bytes: number): Http2Fault | undefined {
    if (bytes > 0 && this.isBodiless) return bodyForbidden;
    if (this.expectedBytes === undefined) return undefined;
    this.expectedBytes -= bytes;
    return this.expectedBytes < 0 ? lengthMismatch : undefined;
  }

  /** Bytes of DATA that have been found right. */
  receive(bytes: Buffer): void {
    if (bytes.length > 0) this.#held.push(bytes);
    if (!this.#isPaused) this.#deliver();
  }

  receiveEnd(trailers: FieldList | undefined): Http2Fault | undefined {
    if ((this.expectedBytes ?? 0) > 0 && !this.isBodiless) return lengthMismatch;
    this.#heldEnd = { trailers };
    if (!this.#isPaused) this.#deliver();
    return undefined;
  }

  /** For the session's `pump`: up to `lengthMax` bytes of what waits. */
  takeSending(lengthMax: number): Buffer | undefined {
    const first = this.#sending[0];
    if (first === undefined || lengthMax <= 0) return undefined;
    const bytes = first.length <= lengthMax ? first : first.subarray(0, lengthMax);
    if (bytes === first) this.#sending.shift();
    else this.#sending[0] = first.subarray(lengthMax);
    this.#sendingBytes -= bytes.length;
    return bytes;
  }

  /** For `pump`: what ends our side, once nothing else waits. */
  takeEnd(): readonly Field[] | undefined {
    if (this.#sendingBytes > 0 || !maySend(this.state)) return undefined;
    return this.#end;
  }

  /** For `pump`: tells the consumer once all that waited is gone. */
  drained(): void {
    if (!this.#owesDrain || this.#sendingBytes > 0) return;
    this.#owesDrain = false;
    this.consumer?.onDrain();
  }

  /** Opens the window; false if that takes it above what a window may be (§6.9.1). */
  openSendWindow(increment: number): boolean {
    this.sendWindow += increment;
    return this.sendWindow <= windowMax;
  }

  /** Forgets what arrived and was not taken, and whoever would have taken it. What is to be sent goes on. */
  discardReceived(): void {
    this.consumer = undefined;
    this.#held.length = 0;
    this.#heldEnd = undefined;
  }

  #drop(): void {
    this.#sending.length = 0;
    this.#sendingBytes = 0;
    this.discardReceived();
  }

  #deliver(): void {
    // A consumer may pause and resume inside a call; the outer turn goes on then.
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    while (!this.#isPaused) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.consumer?.onData(bytes);
      this.#owner.release(this, bytes.length);
    }
    this.#isDelivering = false;
    const end = this.#heldEnd;
    if (end === undefined || this.#isPaused || this.#held.length > 0) return;
    this.#heldEnd = undefined;
    this.consumer?.onEnd(end.trailers);
  }
}

const bodyForbidden = Object.freeze(
  streamFault(errorCode.protocolError, 'a body where none may be'),
);
const lengthMismatch = Object.freeze(
  streamFault(errorCode.protocolError, 'the body is not as long as content-length says'),
);
