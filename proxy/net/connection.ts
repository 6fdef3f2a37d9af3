/** A byte connection over TCP or TLS: one write per turn of the loop, back-pressure, half-close, one deadline. */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { nextTick } from 'node:process';
import { TLSSocket } from 'node:tls';
import type { SpiffeId } from '../../spiffe/index.ts';
import { addressText, type Endpoints } from './address.ts';
import type { ConnectionEnd, ConnectionObserver } from './connection-observer.ts';
import { type Deadlines, type Expiring, never } from './deadlines.ts';
import { type Inlet, readBytesMax } from './inlet.ts';
import { endedByBreak, watchForBreak } from './mtls/close-notify.ts';
import type { ReadMemory } from './read-memory.ts';
import type { Flushable, WriteTurn } from './write-turn.ts';

/** Whoever speaks over a connection. The connection calls; nothing here is called after `onClose`. */
export interface ConnectionListener {
  onData(bytes: Buffer): void;
  /** After a {@link Connection.write} that answered false: there is room again. */
  onDrain(): void;
  /** At the end of a turn, after {@link Connection.requestFlush}: what is written now leaves with the rest. */
  onFlush?(): void;
  /**
   * The peer sends nothing more. It may still read. `isBroken`: TLS ended without saying so (RFC 8446 §6.1), so what
   * only this end would tell to be whole may not be.
   */
  onEnd(isBroken: boolean): void;
  onDeadline(): void;
  /** The connection is soon to end: what is under way may end by itself, nothing new is begun. */
  onRetire?(): void;
  /** Once, however the connection ended. `reason` is set when it ended by a fault. */
  onClose(reason: string | undefined): void;
}

/** Told by {@link Connection.endAndDiscard}. */
interface EndEvents {
  /** What was written has not been taken in time. */
  readonly onUntaken?: () => void;
  /** Nothing is owed to the peer any more: it has all been taken, or the connection is gone. May be told more than once. */
  readonly onOver?: () => void;
}

/** What all connections of a proxy share. */
export interface ConnectionDeps {
  readonly deadlines: Deadlines;
  readonly writes: WriteTurn;
  readonly reads: ReadMemory;
}

/**
 * Writes are gathered and given to the socket once, at the end of the turn of the event loop that caused them:
 * more than half of what a proxy costs is system calls.
 */
export class Connection implements Expiring, Flushable {
  /** Who the peer proved to be; undefined on a plaintext connection. */
  readonly peer: SpiffeId | undefined;
  readonly remoteAddress: string;
  /** Both ends as the client sees them, which whoever stands before us may have told; undefined on a dialled one. */
  readonly endpoints: Endpoints | undefined;
  /** What ALPN agreed on, if anything. */
  readonly alpn: string | undefined;
  deadlineMs = never;
  /** Who is told how it ended. */
  observer: ConnectionObserver | undefined;

  readonly #socket: Socket;
  readonly #deadlines: Deadlines;
  readonly #writes: WriteTurn;
  readonly #reads: ReadMemory;
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
  #putBack: Buffer | undefined;
  #hasEnded = false;
  #isReset = false;
  #isDropped = false;
  #reason: string | undefined;

  /** `inlet` is given where the socket was opened with one. */
  constructor(
    socket: Socket,
    peer: SpiffeId | undefined,
    deps: ConnectionDeps,
    inlet: Inlet | undefined,
    endpoints?: Endpoints,
  ) {
    this.#socket = socket;
    this.endpoints = endpoints;
    const alpn = socket instanceof TLSSocket ? socket.alpnProtocol : null;
    this.alpn = typeof alpn === 'string' ? alpn : undefined;
    this.#inlet = inlet;
    this.peer = peer;
    this.remoteAddress =
      endpoints === undefined
        ? `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`
        : addressText(endpoints.source);
    this.#deadlines = deps.deadlines;
    this.#writes = deps.writes;
    this.#reads = deps.reads;
    this.#deadlines.add(this);
    if (socket instanceof TLSSocket) watchForBreak(socket);
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => {
      // An end goes behind what was put back.
      this.#hasEnded = true;
      if (this.#putBack === undefined && !this.#isClosed) this.#tellEnd();
    });
    socket.on('error', (error) => {
      this.#isReset ||= !this.#isDropped;
      this.#reason ??= error.message;
    });
    socket.on('close', () => this.#onClosed());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Application bytes so far. The socket counts them anyway, so that nobody pays who does not ask. */
  get bytesReceived(): number {
    return this.#socket.bytesRead;
  }

  /** Bytes given to the socket. What still waits for the end of the turn is not among them. */
  get bytesSent(): number {
    return this.#socket.bytesWritten;
  }

  /**
   * Begins to read. A second call hands the connection over to another listener, which is given first what
   * was {@link putBack}.
   */
  attach(listener: ConnectionListener): void {
    const isFirst = this.#listener === undefined;
    this.#listener = listener;
    // Not inside this call: who attaches is often still being made.
    if (this.#putBack !== undefined) nextTick(giveBack, this);
    if (!isFirst) return;
    const receive = (bytes: Buffer): void => {
      this.#reads.add(bytes.length);
      if (!this.#isClosed) this.#listener?.onData(bytes);
    };
    if (this.#inlet === undefined) this.#socket.on('data', receive);
    else this.#inlet.open(receive);
  }

  /** Has the next listener begin with these bytes. Until it is attached nothing more is read. */
  putBack(bytes: Buffer): void {
    this.#putBack = bytes;
    this.pause();
  }

  /** For {@link giveBack} alone. */
  giveBackNow(): void {
    const bytes = this.#putBack;
    if (bytes === undefined || this.#isClosed) return;
    this.#putBack = undefined;
    this.resume();
    if (bytes.length > 0) this.#listener?.onData(bytes);
    if (this.#hasEnded && !this.#isClosed) this.#tellEnd();
  }

  #tellEnd(): void {
    const socket = this.#socket;
    this.#listener?.onEnd(socket instanceof TLSSocket && endedByBreak(socket));
  }

  /** Takes the bytes, which must not be changed afterwards. False asks the caller to wait for `onDrain`. */
  write(bytes: Buffer): boolean {
    if (this.#isClosed || this.#isEnding || bytes.length === 0) return true;
    if (this.#first === undefined) this.#first = bytes;
    else if (this.#second === undefined) this.#second = bytes;
    else this.#further.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#scheduleFlush();
    if (this.#pendingBytes + this.#socket.writableLength < highMarkBytes) {
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

  /**
   * Ends after what was written has been taken by the peer's side, for which it has `takeMs`; whatever
   * still arrives is dropped.
   */
  endAndDiscard(takeMs: number, { onUntaken, onOver }: EndEvents = {}): void {
    this.end();
    this.attach(
      discard(this, {
        onDeadline: () => {
          if (!this.#socket.writableFinished) onUntaken?.();
        },
        onClose: () => onOver?.(),
      }),
    );
    this.expireIn(takeMs);
    // The end is out, and with it all that stood before it.
    this.#socket.once('finish', () => {
      this.expireIn(discardMsMax);
      onOver?.();
    });
    this.resume();
    if (this.#isClosed || this.#pendingBytes + this.#socket.writableLength === 0) onOver?.();
  }

  /** Asks whoever speaks over it to come to an end. */
  retire(): void {
    this.#listener?.onRetire?.();
  }

  /** Drops the connection at once, with whatever was not sent. */
  destroy(reason?: string): void {
    this.#isDropped = true;
    this.#reason ??= reason;
    this.#socket.destroy();
  }

  /** As `destroy`, in a way that a peer cannot take for an end. */
  breakOff(reason: string): void {
    // Where only the end of a connection tells the end of what was said, a reset tells that it was not all of
    // it. In TLS the missing `close_notify` does (RFC 8446 §6.1); a Unix socket has neither.
    if (this.#socket instanceof TLSSocket || this.#socket.remotePort === undefined) {
      this.destroy(reason);
      return;
    }
    this.#isDropped = true;
    this.#reason ??= reason;
    this.#socket.resetAndDestroy();
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

  /** Has the listener's `onFlush` called at the end of this turn, so that it can gather what it writes. */
  requestFlush(): void {
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    this.#writes.add(this);
  }

  /** For {@link WriteTurn} alone. */
  flushNow(): void {
    if (!this.#isClosed) this.#listener?.onFlush?.();
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

  get #end(): ConnectionEnd {
    if (this.#isReset) return 'reset';
    return this.#isDropped ? 'dropped' : 'ended';
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#deadlines.delete(this);
    this.#listener?.onClose(this.#reason);
    this.observer?.onClosed({
      end: this.#end,
      reason: this.#reason,
      bytesReceived: this.bytesReceived,
      bytesSent: this.bytesSent,
    });
  }
}

function giveBack(connection: Connection): void {
  connection.giveBackNow();
}

/** Reads to the end, so that closing sends what we wrote and not a reset, but not for ever. */
function discard(
  connection: Connection,
  events: Pick<ConnectionListener, 'onDeadline' | 'onClose'>,
): ConnectionListener {
  let dropped = 0;
  return {
    onData(bytes) {
      dropped += bytes.length;
      if (dropped > discardBytesMax) connection.destroy();
    },
    onDrain() {},
    // Both directions have ended then, and the socket goes by itself once our last byte is out.
    onEnd() {},
    onDeadline() {
      events.onDeadline();
      connection.destroy();
    },
    onClose: events.onClose,
  };
}

// What may wait for a peer that takes nothing. Node's own mark is 16 KiB, a single TLS record: whoever relays a
// stream would be stopped and started at each. One read of a busy stream may wait here instead.
const highMarkBytes = readBytesMax;

// Below this, copying head and body together is cheaper than handing the kernel a list of them.
const joinBytesMax = 16 * 1024;

// RFC 9112 §9.6: a server that closes with unread input may destroy its own last response on the way,
// so it reads a while; a peer that sends on regardless is not owed more than this.
const discardMsMax = 2000;
const discardBytesMax = 1024 * 1024;
