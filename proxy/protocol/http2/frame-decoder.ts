/** Frames out of the bytes of one connection (RFC 9113 §4, §6): their sizes, padding and streams checked. */

import type { Buffer } from 'node:buffer';
import { ReceiveBuffer } from '../http1/receive-buffer.ts';
import { connectionFault, errorCode, type Http2Fault, streamFault } from './error-code.ts';
import { frameBytesDefault, frameFlag, frameHeadBytes, frameType } from './frame.ts';

/**
 * The decoder is the frame: after `next()` answered `frame`, its members tell of it until the next call.
 * So a frame costs no object. A `Http2Fault` of the connection is final.
 */
export class FrameDecoder {
  type = 0;
  flags = 0;
  streamId = 0;
  /** The payload, less padding and priority. It stays valid. */
  payload: Buffer;
  /** The whole length of the payload, which is what flow control counts. */
  length = 0;

  readonly #buffer = new ReceiveBuffer();
  #hasHead = false;

  constructor() {
    this.payload = this.#buffer.bytes;
  }

  get bufferedBytes(): number {
    return this.#buffer.length;
  }

  /** What the frame is whose payload is not all there; undefined where none has begun, or not far enough to tell. */
  get begunType(): number | undefined {
    return this.#hasHead ? this.type : undefined;
  }

  /** Appends bytes, which must not be written to afterwards. */
  push(chunk: Buffer): void {
    this.#buffer.push(chunk);
  }

  next(): 'need_more' | 'frame' | Http2Fault {
    if (!this.#hasHead) {
      if (!this.#holds(frameHeadBytes)) return 'need_more';
      this.#readHead();
      const fault = this.#checkHead();
      if (fault !== undefined) return fault;
      this.#hasHead = true;
    }
    if (!this.#holds(this.length)) return 'need_more';
    this.#hasHead = false;
    this.payload = this.#buffer.take(this.length);
    return this.#trim() ?? 'frame';
  }

  /** Takes `expected` off the front if it is there; tells at the first wrong byte that it is not. */
  takeText(expected: Buffer): 'taken' | 'need_more' | 'wrong' {
    const buffer = this.#buffer;
    const isWhole = this.#holds(expected.length);
    // What is too short to be the whole may still tell that it is wrong.
    if (!isWhole) {
      while (buffer.extend()) continue;
    }
    const held = Math.min(buffer.end - buffer.start, expected.length);
    if (expected.compare(buffer.bytes, buffer.start, buffer.start + held, 0, held) !== 0) {
      return 'wrong';
    }
    if (!isWhole) return 'need_more';
    buffer.take(expected.length);
    return 'taken';
  }

  /** Forgets what is held: the connection is at its end. */
  clear(): void {
    this.#buffer.clear();
  }

  /** Whether that many bytes lie in a row; joins pieces until they do. */
  #holds(length: number): boolean {
    const buffer = this.#buffer;
    while (buffer.end - buffer.start < length) {
      if (buffer.length < length || !buffer.extend()) return false;
    }
    return true;
  }

  #readHead(): void {
    const buffer = this.#buffer;
    const { bytes, start } = buffer;
    this.length = bytes.readUIntBE(start, 3);
    this.type = bytes[start + 3] ?? 0;
    this.flags = bytes[start + 4] ?? 0;
    // §4.1: the reserved bit is ignored.
    this.streamId = bytes.readUInt32BE(start + 5) & 0x7f_ff_ff_ff;
    buffer.start += frameHeadBytes;
  }

  /** What can be told before the payload is there, so that none of it is waited for in vain. */
  #checkHead(): Http2Fault | undefined {
    // We never allow more than everybody may send, and so hold no more than that of one frame.
    if (this.length > frameBytesDefault) {
      return connectionFault(
        errorCode.frameSizeError,
        `a frame of ${this.length} bytes, where ${frameBytesDefault} are allowed`,
      );
    }
    switch (this.type) {
      case frameType.data:
      case frameType.headers:
      case frameType.continuation:
      case frameType.priority:
      case frameType.pushPromise:
        return this.#needsStream();
      case frameType.rstStream:
        return this.#needsStream() ?? this.#needsLength(4);
      case frameType.settings:
        return this.#needsConnection() ?? this.#checkSettingsLength();
      case frameType.ping:
        return this.#needsConnection() ?? this.#needsLength(8);
      case frameType.goaway:
        if (this.length < 8) return this.#needsLength(8);
        return this.#needsConnection();
      case frameType.windowUpdate:
        return this.#needsLength(4);
      default:
        return undefined;
    }
  }

  #checkSettingsLength(): Http2Fault | undefined {
    if ((this.flags & frameFlag.ack) !== 0) return this.#needsLength(0);
    return this.length % 6 === 0
      ? undefined
      : connectionFault(errorCode.frameSizeError, 'SETTINGS that are not a multiple of 6 bytes');
  }

  /** Takes padding and priority off (§6.1, §6.2); what they say is not needed. */
  #trim(): Http2Fault | undefined {
    const isHeaders = this.type === frameType.headers;
    if (this.type === frameType.priority && this.length !== 5) {
      return streamFault(errorCode.frameSizeError, 'PRIORITY is not 5 bytes');
    }
    if (!isHeaders && this.type !== frameType.data) return undefined;
    const isPadded = (this.flags & frameFlag.padded) !== 0;
    const hasPriority = isHeaders && (this.flags & frameFlag.priority) !== 0;
    if (!isPadded && !hasPriority) return undefined;
    const start = (isPadded ? 1 : 0) + (hasPriority ? 5 : 0);
    const padding = isPadded ? (this.payload[0] ?? 0) : 0;
    if (start > this.length) {
      return connectionFault(errorCode.frameSizeError, 'a frame too short for its flags');
    }
    if (start + padding > this.length) {
      return connectionFault(errorCode.protocolError, 'more padding than payload');
    }
    this.payload = this.payload.subarray(start, this.length - padding);
    return undefined;
  }

  #needsStream(): Http2Fault | undefined {
    return this.streamId === 0
      ? connectionFault(errorCode.protocolError, `a frame of type ${this.type} on stream 0`)
      : undefined;
  }

  #needsConnection(): Http2Fault | undefined {
    return this.streamId === 0
      ? undefined
      : connectionFault(errorCode.protocolError, `a frame of type ${this.type} on a stream`);
  }

  #needsLength(length: number): Http2Fault | undefined {
    return this.length === length
      ? undefined
      : connectionFault(
          errorCode.frameSizeError,
          `a frame of type ${this.type} with ${this.length} bytes`,
        );
  }
}
