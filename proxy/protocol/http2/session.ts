/**
 * One HTTP/2 connection as a machine (RFC 9113): bytes go in, events and bytes come out, and no socket or
 * timer is seen. A server and a client differ in who begins streams and in what a head is.
 */

import type { Buffer } from 'node:buffer';
import type { Clock } from '../../../core/index.ts';
import { ClosedStreams } from './closed-streams.ts';
import {
  connectionFault,
  errorCode,
  type ErrorCode,
  formatErrorCode,
  type Http2Fault,
} from './error-code.ts';
import type { Field } from './field.ts';
import { FloodGuard } from './flood-guard.ts';
import { clientPreface, streamIdMax, windowDefault } from './frame.ts';
import { Http2Stream, type StreamOwner } from './http2-stream.ts';
import { Incoming } from './incoming.ts';
import { defaultHttp2Limits, type Http2Limits } from './limits.ts';
import { Outgoing } from './outgoing.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { Http2RequestHead } from './request-head.ts';
import { settingId } from './settings.ts';

export interface SessionOptions {
  readonly role: 'server' | 'client';
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly limits?: Http2Limits;
  /** At a server: clients may ask for an extended CONNECT (RFC 8441). */
  readonly allowsExtendedConnect?: boolean;
}

/** Whoever has the connection. */
export interface SessionEvents {
  /** At a server: a request has begun. A consumer is to be set at once. */
  onRequest(stream: Http2Stream, head: Http2RequestHead): void;
  /** At a server: a head larger than we take; it may be answered, and nothing more of it is read. */
  onOversizedRequest(stream: Http2Stream): void;
  /** There is something to {@link Http2Session.takeOutput} again. */
  onOutput(): void;
  /** The first SETTINGS of the peer are here. */
  onReady(): void;
  /** The peer takes no more streams, and finishes those that it has. */
  onGoaway(detail: string): void;
  /** The last stream has ended. */
  onIdle(): void;
  /** The connection is over, by a fault of the peer: what there is to send says so. */
  onFault(fault: Http2Fault): void;
}

export class Http2Session implements StreamOwner {
  readonly isServer: boolean;
  readonly limits: Http2Limits;
  readonly allowsExtendedConnect: boolean;
  readonly guard: FloodGuard;
  readonly outgoing: Outgoing;
  readonly closed = new ClosedStreams();
  readonly events: SessionEvents;
  readonly streams = new Map<number, Http2Stream>();
  readonly #incoming: Incoming;
  readonly #receiveWindow: ReceiveWindow;
  #lastOwnId: number;
  /** The highest stream of the peer that we have begun to work on. */
  lastPeerId = 0;
  #peerStreams = 0;
  #isOutputTold = false;
  #isOver = false;
  /** A GOAWAY of ours that names the last stream has been sent. */
  #isShut = false;
  #isShuttingDown = false;
  #isPeerLeaving = false;

  constructor(options: SessionOptions, events: SessionEvents) {
    this.isServer = options.role === 'server';
    this.limits = options.limits ?? defaultHttp2Limits;
    this.allowsExtendedConnect = options.allowsExtendedConnect ?? false;
    this.guard = new FloodGuard(this.limits, options.clock);
    this.outgoing = new Outgoing(this.guard);
    this.events = events;
    this.#incoming = new Incoming(this);
    this.#receiveWindow = new ReceiveWindow(this.limits.connectionWindow);
    // §5.1.1: a client's streams are odd.
    this.#lastOwnId = this.isServer ? 0 : -1;
  }

  /** Sends the preface and our settings (§3.4); the peer need not have been heard. */
  start(): void {
    const { frames } = this.outgoing;
    const { streamsMax, listSizeMax, streamWindow, connectionWindow } = this.limits;
    if (!this.isServer) frames.raw(clientPreface);
    frames.settings([
      this.isServer ? [settingId.maxConcurrentStreams, streamsMax] : [settingId.enablePush, 0],
      [settingId.initialWindowSize, streamWindow],
      [settingId.maxHeaderListSize, listSizeMax],
      ...(this.isServer && this.allowsExtendedConnect ? [connectAllowed] : []),
    ]);
    // The window of the connection is no setting (§6.9.2).
    if (connectionWindow > windowDefault) frames.windowUpdate(0, connectionWindow - windowDefault);
    this.tellOutput();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Which head has begun to come and is not whole; another has another number. Undefined while none is. */
  get openHead(): number | undefined {
    return this.#incoming.openHead;
  }

  get openCount(): number {
    return this.streams.size;
  }

  /** At a client: whether another stream may be begun now. */
  get mayOpen(): boolean {
    return (
      !this.#isOver &&
      !this.#isPeerLeaving &&
      !this.#isShuttingDown &&
      this.#lastOwnId < streamIdMax - 2 &&
      this.streams.size < this.outgoing.settings.maxConcurrentStreams
    );
  }

  /** At a client: whether the connection takes no further stream for ever. */
  get isLeaving(): boolean {
    return this.#isOver || this.#isPeerLeaving || this.#isShuttingDown;
  }

  /** At a server: whether the client has been asked to go. */
  get isShuttingDown(): boolean {
    return this.#isShuttingDown;
  }

  receive(bytes: Buffer): void {
    if (this.#isOver) return;
    const fault = this.#incoming.receive(bytes);
    if (fault !== undefined) this.#fail(fault);
  }

  /** Everything to be written, in order. */
  takeOutput(): readonly Buffer[] {
    this.#isOutputTold = false;
    const parts = this.outgoing.frames.take();
    if (this.streams.size === 0) this.outgoing.frames.rest();
    return parts;
  }

  /** Whether the socket takes more. While it does not, DATA waits with its stream. */
  setSocketFull(isFull: boolean): void {
    this.outgoing.isSocketFull = isFull;
    if (!isFull) this.#pumpAll();
  }

  /** At a client: begins a stream, if {@link Http2Session.mayOpen} allows one. */
  open(): Http2Stream {
    this.#lastOwnId += 2;
    const stream = this.#newStream(this.#lastOwnId);
    return stream;
  }

  /** At a server: the stream that HEADERS of the peer begin. Counted until it is closed. */
  accept(id: number): Http2Stream {
    this.lastPeerId = id;
    this.#peerStreams += 1;
    const stream = this.#newStream(id);
    stream.advance('receive_headers');
    return stream;
  }

  get hasRoom(): boolean {
    return this.#peerStreams < this.limits.streamsMax;
  }

  /**
   * The first step of a graceful end (§6.8): the peer hears that it should go, while what it sent in the
   * meantime is still served. The second is {@link Http2Session.finishShutdown}, a round trip later.
   */
  shutdown(): void {
    if (this.#isShuttingDown || this.#isOver) return;
    this.#isShuttingDown = true;
    if (this.isServer) {
      this.outgoing.frames.goaway(streamIdMax, errorCode.noError, '');
      // Its acknowledgement says that the peer has read the GOAWAY before it.
      this.outgoing.frames.ping(this.#incoming.shutdownPing, false);
    }
    this.tellOutput();
  }

  /** Asks the peer whether it is there; whatever it answers is a sign that it is. */
  probe(): void {
    this.outgoing.frames.ping(this.#incoming.probePing, false);
    this.tellOutput();
  }

  /** The second step: streams that begin from now on are not served, and the peer is told so. */
  finishShutdown(): void {
    if (this.#isShut || this.#isOver) return;
    this.#isShuttingDown = true;
    this.#isShut = true;
    this.outgoing.frames.goaway(this.lastPeerId, errorCode.noError, '');
    this.tellOutput();
  }

  get isShut(): boolean {
    return this.#isShut;
  }

  /** Ends at once, and says why. */
  close(code: ErrorCode, detail: string): void {
    if (this.#isOver) return;
    if (!this.#isShut || code !== errorCode.noError) {
      this.outgoing.frames.goaway(this.lastPeerId, code, detail);
    }
    this.tellOutput();
    this.abandon(detail);
  }

  /** The connection is gone: every stream hears of it. */
  abandon(detail: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#incoming.clear();
    for (const stream of this.streams.values()) {
      stream.abandon({ code: errorCode.cancel, detail, by: 'connection' });
    }
  }

  writeHead(stream: Http2Stream, fields: readonly Field[]): void {
    if (!stream.advance('send_headers')) return;
    this.outgoing.head(stream.id, fields);
    this.tellOutput();
  }

  pump(stream: Http2Stream): void {
    this.outgoing.pump(stream);
    this.tellOutput();
  }

  writeReset(stream: Http2Stream, code: ErrorCode): void {
    if (stream.state !== 'idle') this.outgoing.frames.resetStream(stream.id, code);
    this.closed.add(stream.id, 'reset_by_us');
    this.tellOutput();
  }

  release(stream: Http2Stream, bytes: number): void {
    const increment = stream.receiveWindow.release(bytes);
    if (increment === 0 || !stream.mayReceive) return;
    this.outgoing.frames.windowUpdate(stream.id, increment);
    this.tellOutput();
  }

  /**
   * DATA of `bytes` came, on whatever stream. The connection's share is given back at once: a stream that
   * nobody reads has its own window to wait behind, and must not keep the others waiting too.
   */
  countData(bytes: number): Http2Fault | undefined {
    if (!this.#receiveWindow.take(bytes)) {
      return connectionFault(
        errorCode.flowControlError,
        'DATA beyond the window of the connection',
      );
    }
    const increment = this.#receiveWindow.release(bytes);
    if (increment === 0) return undefined;
    this.outgoing.frames.windowUpdate(0, increment);
    this.tellOutput();
    return undefined;
  }

  onClosed(stream: Http2Stream): void {
    if (!this.streams.delete(stream.id)) return;
    this.outgoing.forget(stream);
    this.closed.add(stream.id, 'ended');
    if (this.#isPeers(stream.id)) this.#peerStreams -= 1;
    if (this.streams.size === 0) this.events.onIdle();
  }

  /** Settings or a window of the peer let more go than before. */
  pumpAll(): void {
    this.#pumpAll();
  }

  /** The peer's GOAWAY: its streams up to `lastId` go on, ours above it were never looked at (§6.8). */
  onPeerGoaway(lastId: number, code: number): void {
    this.#isPeerLeaving = true;
    const detail = `the peer is leaving (${formatErrorCode(code)})`;
    for (const stream of this.streams.values()) {
      if (this.#isPeers(stream.id) || stream.id <= lastId) continue;
      stream.abandon({ code: errorCode.refusedStream, detail, by: 'unprocessed' });
    }
    this.events.onGoaway(detail);
  }

  /** A fault of one stream: it is reset, and whoever provokes many of them is told to calm down. */
  failStream(stream: Http2Stream, fault: Http2Fault): Http2Fault | undefined {
    const { consumer } = stream;
    stream.reset(fault.code);
    stream.discardReceived();
    consumer?.onReset({ code: fault.code, detail: fault.detail, by: 'fault' });
    return this.isServer ? this.guard.onReset() : undefined;
  }

  /** Something stands ready to be written. */
  tellOutput(): void {
    if (this.#isOutputTold || this.outgoing.frames.length === 0) return;
    this.#isOutputTold = true;
    this.events.onOutput();
  }

  isOwn(id: number): boolean {
    return !this.#isPeers(id);
  }

  /** Whether a stream of that number has not begun yet. */
  isIdle(id: number): boolean {
    return this.#isPeers(id) ? id > this.lastPeerId : id > this.#lastOwnId;
  }

  #isPeers(id: number): boolean {
    return (id % 2 === 1) === this.isServer;
  }

  #newStream(id: number): Http2Stream {
    const { initialWindowSize } = this.outgoing.settings;
    const stream = new Http2Stream(id, this, initialWindowSize, this.limits.streamWindow);
    this.streams.set(id, stream);
    return stream;
  }

  #pumpAll(): void {
    this.outgoing.pumpAll();
    this.tellOutput();
  }

  #fail(fault: Http2Fault): void {
    this.close(fault.code, fault.detail);
    this.events.onFault(fault);
  }
}

const connectAllowed = [settingId.enableConnectProtocol, 1] as const;
