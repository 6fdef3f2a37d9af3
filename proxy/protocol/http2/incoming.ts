/** What a session receives: each frame by its type, as RFC 9113 §6 has it. */

import { Buffer } from 'node:buffer';
import {
  closedStreamFault,
  connectionFault,
  errorCode,
  formatErrorCode,
  type Http2Fault,
  streamFault,
} from './error-code.ts';
import { crumbBytes } from './flood-guard.ts';
import { clientPreface, frameFlag, frameType } from './frame.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { HeaderReceiver } from './header-receiver.ts';
import type { Http2Stream } from './http2-stream.ts';
import type { Http2Session } from './session.ts';
import { readSettings } from './settings.ts';

export class Incoming {
  /** The payload of the PING that follows a graceful GOAWAY. */
  readonly shutdownPing = Buffer.from('graceful', 'latin1');
  /** Of one that only asks whether the peer is there. */
  readonly probePing = Buffer.from('presence', 'latin1');
  readonly #session: Http2Session;
  readonly #frame = new FrameDecoder();
  readonly #headers: HeaderReceiver;
  #needsPreface: boolean;
  #hasSettings = false;
  /** Frames that have come whole. */
  #frames = 0;
  /** The number of the frame that began the last head. */
  #headFrame = 0;

  constructor(session: Http2Session) {
    this.#session = session;
    this.#headers = new HeaderReceiver(session);
    this.#needsPreface = session.isServer;
  }

  /** Takes everything that is whole. A fault of the connection is the answer and the end. */
  receive(bytes: Buffer): Http2Fault | undefined {
    this.#frame.push(bytes);
    if (this.#needsPreface) {
      const outcome = this.#frame.takeText(preface);
      if (outcome === 'wrong') {
        return connectionFault(errorCode.protocolError, 'what came is no HTTP/2 preface');
      }
      if (outcome === 'need_more') return undefined;
      this.#needsPreface = false;
    }
    while (!this.#session.isOver) {
      const outcome = this.#frame.next();
      if (outcome === 'need_more') return undefined;
      const fault = outcome === 'frame' ? this.#onFrame() : this.#onBadFrame(outcome);
      if (fault !== undefined) return fault;
      this.#frames += 1;
    }
    return undefined;
  }

  /**
   * Which head has begun and not ended, be it inside a frame or between frames: a number that no other has. A frame
   * tells after nine bytes what it is, and until then it is none.
   */
  get openHead(): number | undefined {
    if (this.#headers.isOpen) return this.#headFrame;
    return this.#frame.begunType === frameType.headers ? this.#frames : undefined;
  }

  clear(): void {
    this.#frame.clear();
  }

  #onBadFrame(fault: Http2Fault): Http2Fault | undefined {
    const stream = this.#session.streams.get(this.#frame.streamId);
    if (fault.scope === 'connection') return fault;
    if (stream !== undefined) return this.#session.failStream(stream, fault);
    return this.#session.guard.onIdleFrame('a bad frame');
  }

  #onFrame(): Http2Fault | undefined {
    const frame = this.#frame;
    // §3.4: SETTINGS come first, from either side.
    if (!this.#hasSettings && (frame.type !== frameType.settings || frame.flags !== 0)) {
      return connectionFault(errorCode.protocolError, 'the first frame is not SETTINGS');
    }
    // §6.10: nothing stands between HEADERS and what continues them.
    if (this.#headers.isOpen !== (frame.type === frameType.continuation)) {
      return connectionFault(
        errorCode.protocolError,
        this.#headers.isOpen
          ? 'a header block is not continued'
          : 'CONTINUATION where no header block is open',
      );
    }
    switch (frame.type) {
      case frameType.data:
        return this.#onData();
      case frameType.headers:
        this.#headFrame = this.#frames;
        return this.#headers.onFrame(frame);
      case frameType.continuation:
        return this.#headers.onFrame(frame);
      case frameType.rstStream:
        return this.#onResetStream();
      case frameType.settings:
        return this.#onSettings();
      case frameType.pushPromise:
        // §8.4: a client never pushes, and we have told servers not to.
        return connectionFault(errorCode.protocolError, 'PUSH_PROMISE, which nobody allowed');
      case frameType.ping:
        return this.#onPing();
      case frameType.goaway:
        this.#session.onPeerGoaway(
          frame.payload.readUInt32BE(0) & 0x7f_ff_ff_ff,
          frame.payload.readUInt32BE(4),
        );
        return undefined;
      case frameType.windowUpdate:
        return this.#onWindowUpdate();
      default:
        // §5.3.2 and §5.5: PRIORITY and unknown frames are ignored.
        return this.#session.guard.onIdleFrame('PRIORITY or an unknown frame');
    }
  }

  #onData(): Http2Fault | undefined {
    const { streamId, length, payload, flags } = this.#frame;
    const session = this.#session;
    const overflow = session.countData(length);
    if (overflow !== undefined) return overflow;
    const stream = session.streams.get(streamId);
    if (stream === undefined) return this.#onStray('DATA');
    const isEnd = (flags & frameFlag.endStream) !== 0;
    const fault = this.#checkData(stream, length) ?? stream.checkLength(payload.length);
    if (fault !== undefined) return session.failStream(stream, fault);
    // Padding is off our hands at once.
    if (length > payload.length) session.release(stream, length - payload.length);
    if (payload.length > 0) session.guard.onWork();
    // The state first: whoever answers inside the event then ends a stream that the peer has ended.
    if (isEnd) stream.advance('receive_end');
    stream.receive(payload);
    if (isEnd) {
      const cut = stream.receiveEnd(undefined);
      return cut === undefined ? undefined : session.failStream(stream, cut);
    }
    return payload.length === 0 ? session.guard.onIdleFrame('DATA without data') : undefined;
  }

  #checkData(stream: Http2Stream, length: number): Http2Fault | undefined {
    if (!stream.mayReceive) return closedStreamFault(stream.id);
    if (!stream.hasHead) return streamFault(errorCode.protocolError, 'DATA before a head');
    return stream.receiveWindow.take(length)
      ? undefined
      : streamFault(errorCode.flowControlError, 'DATA beyond the window of the stream');
  }

  #onResetStream(): Http2Fault | undefined {
    const { streamId, payload } = this.#frame;
    const session = this.#session;
    const stream = session.streams.get(streamId);
    if (stream === undefined) {
      if (session.isIdle(streamId)) return onIdleStream('RST_STREAM');
      if (session.closed.takeReset(streamId)) return undefined;
      return session.guard.onIdleFrame('RST_STREAM on a closed stream');
    }
    const code = payload.readUInt32BE(0);
    if (!session.isServer && code === errorCode.noError && stream.release()) return undefined;
    stream.abandon({
      code,
      detail: `the peer reset the stream (${formatErrorCode(code)})`,
      by: code === errorCode.refusedStream ? 'unprocessed' : 'peer',
    });
    return session.isServer ? session.guard.onReset() : undefined;
  }

  #onSettings(): Http2Fault | undefined {
    const { flags, payload } = this.#frame;
    const session = this.#session;
    if ((flags & frameFlag.ack) !== 0) return undefined;
    const isFirst = !this.#hasSettings;
    const tooMany = isFirst ? undefined : session.guard.onIdleFrame('SETTINGS');
    if (tooMany !== undefined) return tooMany;
    const settings = { ...session.outgoing.settings };
    const fault = readSettings(payload, settings, !session.isServer);
    if (fault !== undefined) return fault;
    const change = session.outgoing.adopt(settings);
    this.#hasSettings = true;
    session.outgoing.frames.settingsAck();
    session.tellOutput();
    if (change !== 0) {
      for (const stream of session.streams.values()) {
        if (!stream.openSendWindow(change)) {
          return connectionFault(errorCode.flowControlError, 'a window grows beyond 2^31-1');
        }
      }
    }
    if (isFirst) session.events.onReady();
    session.pumpAll();
    return undefined;
  }

  #onPing(): Http2Fault | undefined {
    const { flags, payload } = this.#frame;
    const session = this.#session;
    if ((flags & frameFlag.ack) !== 0) {
      if (session.isShuttingDown && payload.equals(this.shutdownPing)) session.finishShutdown();
      return undefined;
    }
    const tooMany = session.guard.onMeasure('PING');
    if (tooMany !== undefined) return tooMany;
    session.outgoing.frames.ping(payload, true);
    session.tellOutput();
    return undefined;
  }

  #onWindowUpdate(): Http2Fault | undefined {
    const { streamId, payload } = this.#frame;
    const session = this.#session;
    const increment = payload.readUInt32BE(0) & 0x7f_ff_ff_ff;
    // A window in crumbs makes us send crumbs: allowed, but not for ever.
    const tooMany = increment < crumbBytes ? session.guard.onMeasure('WINDOW_UPDATE') : undefined;
    if (tooMany !== undefined) return tooMany;
    if (streamId === 0) {
      if (increment === 0) {
        return connectionFault(errorCode.protocolError, 'WINDOW_UPDATE by nothing');
      }
      if (!session.outgoing.openWindow(increment)) {
        return connectionFault(errorCode.flowControlError, 'a window grows beyond 2^31-1');
      }
      session.pumpAll();
      return undefined;
    }
    const stream = session.streams.get(streamId);
    if (stream === undefined) {
      // §5.1: on a closed stream it may still be on its way.
      return session.isIdle(streamId) ? onIdleStream('WINDOW_UPDATE') : undefined;
    }
    if (increment === 0) {
      return session.failStream(
        stream,
        streamFault(errorCode.protocolError, 'WINDOW_UPDATE by nothing'),
      );
    }
    if (!stream.openSendWindow(increment)) {
      return session.failStream(
        stream,
        streamFault(errorCode.flowControlError, 'a window grows beyond 2^31-1'),
      );
    }
    session.pump(stream);
    return undefined;
  }

  /** A frame on a stream that is not open. */
  #onStray(what: string): Http2Fault | undefined {
    const { streamId } = this.#frame;
    const session = this.#session;
    if (session.isIdle(streamId)) return onIdleStream(what);
    if (session.closed.get(streamId) !== 'reset_by_us') {
      session.outgoing.frames.resetStream(streamId, errorCode.streamClosed);
      session.tellOutput();
    }
    return session.guard.onIdleFrame(`${what} on a closed stream`);
  }
}

/** §5.1: only HEADERS and PRIORITY may come on a stream that has not begun. */
function onIdleStream(what: string): Http2Fault {
  return connectionFault(errorCode.protocolError, `${what} on a stream that has not begun`);
}

const preface = Buffer.from(clientPreface, 'latin1');
