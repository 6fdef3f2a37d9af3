/** A byte connection over TCP or TLS: one write per turn of the loop, back-pressure, half-close, one deadline. */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { nextTick } from 'node:process';
import type { SpiffeId } from '../../spiffe/index.ts';
import { type Deadlines, type Expiring, never } from './deadlines.ts';
import type { Inlet } from './inlet.ts';

/** Whoever speaks over a connection. The connection calls; nothing here is called after `onClose`. */
export interface ConnectionListener {
  onData(bytes: Buffer): void;
  /** After a {@link Connection.write} that answered false: there is room again. */
  onDrain(): void;
  /** The peer sends nothing more. It may still read. */
  onEnd(): void;
  onDeadline(): void;
  /** Once, however the connection ended. `reason` is set when it ended by a fault. */
  onClose(reason: string | undefined): void;
}

/**
 * Writes are gathered and given to the socket once, after the event that caused them has been handled:
 * more than half of what a proxy costs is system calls.
 */
export class Connection implements Expiring {
  /** Who the peer proved to be; undefined on a plaintext connection. */
  readonly peer: SpiffeId | undefined;
  readonly remoteAddress: string;
  deadlineMs = never;

  readonly #socket: Socket;
  readonly #deadlines: Deadlines;
  readonly #inlet: Inlet | undefined;
  #listener: ConnectionListener | undefined;
  /** What waits for the flush: nearly always one piece or two, so only a third needs a list. */
  #first: Buffer | undefined;
  #second: Buffer | undefined;
  #further: Buffer[] = [];
  #pendingBytes = 0;
  #isFlushScheduled = false;
  /** A write answered false and `onDrain` is owed. */
  #isBlocked = false;
  #isEnding = false;
  #isClosed = false;
  #reason: string | undefined;

  /** `inlet` is given where the socket was opened with one. */
  constructor(
    socket: Socket,
    peer: SpiffeId | undefined,
    deadlines: Deadlines,
    inlet: Inlet | undefined,
  ) {
    this.#socket = socket;
    this.#inlet = inlet;
    this.peer = peer;
    this.remoteAddress = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    this.#deadlines = deadlines;
    deadlines.add(this);
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => {
      if (!this.#isClosed) this.#listener?.onEnd();
    });
    socket.on('error', (error) => {
      this.#reason ??= error.message;
    });
    socket.on('close', () => this.#onClosed());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Begins to read. A second call hands the connection over to another listener. */
  attach(listener: ConnectionListener): void {
    const isFirst = this.#listener === undefined;
    this.#listener = listener;
    if (!isFirst) return;
    const receive = (bytes: Buffer): void => {
      if (!this.#isClosed) this.#listener?.onData(bytes);
    };
    if (this.#inlet === undefined) this.#socket.on('data', receive);
    else this.#inlet.open(receive);
  }

  /** Takes the bytes, which must not be changed afterwards. False asks the caller to wait for `onDrain`. */
  write(bytes: Buffer): boolean {
    if (this.#isClosed || this.#isEnding || bytes.length === 0) return true;
    if (this.#first === undefined) this.#first = bytes;
    else if (this.#second === undefined) this.#second = bytes;
    else this.#further.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#scheduleFlush();
    if (this.#pendingBytes + this.#socket.writableLength < this.#socket.writableHighWaterMark) {
      return !this.#isBlocked;
    }
    this.#isBlocked = true;
    return false;
  }

  /** Says that we send nothing more, after what was written. Reading goes on. */
  end(): void {
    if (this.#isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.#scheduleFlush();
  }

  /** Ends after what was written has been taken by the peer's side; whatever still arrives is dropped. */
  endAndDiscard(): void {
    this.end();
    this.attach(discard(this));
    this.resume();
  }

  /** Drops the connection at once, with whatever was not sent. */
  destroy(reason?: string): void {
    this.#reason ??= reason;
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** Calls the listener's `onDeadline` in about `delayMs`, in place of any earlier deadline. */
  expireIn(delayMs: number): void {
    this.deadlineMs = this.#deadlines.in(delayMs);
  }

  neverExpire(): void {
    this.deadlineMs = never;
  }

  onDeadline(): void {
    if (this.#listener === undefined) this.destroy('timed out');
    else this.#listener.onDeadline();
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    nextTick(flush, this);
  }

  /** Only for `flush` below, which exists so that scheduling needs no closure. */
  flushNow(): void {
    this.#isFlushScheduled = false;
    if (this.#isClosed) return;
    if (this.#first !== undefined) this.#writeOnce(this.#first);
    if (this.#isEnding) this.#socket.end();
    else if (this.#isBlocked && !this.#socket.writableNeedDrain) this.#onDrain();
  }

  #writeOnce(first: Buffer): void {
    const socket = this.#socket;
    const second = this.#second;
    const further = this.#further;
    const length = this.#pendingBytes;
    this.#forget();
    if (second === undefined) {
      socket.write(first);
    } else if (length <= joinBytesMax && further.length === 0) {
      const whole = Buffer.allocUnsafe(length);
      first.copy(whole, 0);
      second.copy(whole, first.length);
      socket.write(whole);
    } else {
      socket.cork();
      for (const part of [first, second, ...further]) socket.write(part);
      socket.uncork();
    }
  }

  #forget(): void {
    this.#first = undefined;
    this.#second = undefined;
    if (this.#further.length > 0) this.#further = [];
    this.#pendingBytes = 0;
  }

  #onDrain(): void {
    if (!this.#isBlocked || this.#isClosed) return;
    this.#isBlocked = false;
    this.#listener?.onDrain();
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#deadlines.delete(this);
    this.#listener?.onClose(this.#reason);
  }
}

function flush(connection: Connection): void {
  connection.flushNow();
}

/** Reads to the end, so that closing sends what we wrote and not a reset, but not for ever. */
function discard(connection: Connection): ConnectionListener {
  let dropped = 0;
  connection.expireIn(discardMsMax);
  return {
    onData(bytes) {
      dropped += bytes.length;
      if (dropped > discardBytesMax) connection.destroy();
    },
    onDrain() {},
    // Both directions have ended then, and the socket goes by itself once our last byte is out.
    onEnd() {},
    onDeadline: () => connection.destroy(),
    onClose() {},
  };
}

// Below this, copying head and body together is cheaper than handing the kernel a list of them.
const joinBytesMax = 16 * 1024;

// RFC 9112 §9.6: a server that closes with unread input may destroy its own last response on the way,
// so it reads a while; a peer that sends on regardless is not owed more than this.
const discardMsMax = 2000;
const discardBytesMax = 1024 * 1024;
