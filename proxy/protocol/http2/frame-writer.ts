/** Frames as bytes, small ones side by side in one buffer, until whoever has the socket takes them. */

import { Buffer } from 'node:buffer';
import { frameFlag, frameHeadBytes, frameType } from './frame.ts';
import type { ErrorCode } from './error-code.ts';

export class FrameWriter {
  #parts: Buffer[] = [];
  #slab: Buffer = nothing;
  /** What stands in `#slab[#from, #at)` has been written here and not yet taken. */
  #from = 0;
  #at = 0;
  #bytes = 0;
  /** The last DATA or HEADERS frame, while its flags can still be changed. */
  #lastStreamId = 0;
  #lastSlab: Buffer = nothing;
  #lastFlagsAt = 0;

  /** Bytes not yet taken. */
  get length(): number {
    return this.#bytes;
  }

  /** Everything since the last call, in order. */
  take(): readonly Buffer[] {
    this.#closePart();
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    this.#lastStreamId = 0;
    return parts;
  }

  /** Lets go of the buffer that waits for more frames; for a connection that rests. */
  rest(): void {
    if (this.#bytes > 0) return;
    this.#slab = nothing;
    this.#lastSlab = nothing;
    this.#from = 0;
    this.#at = 0;
  }

  raw(text: string): void {
    this.#reserve(text.length);
    this.#slab.write(text, this.#at, 'latin1');
    this.#advance(text.length);
  }

  data(streamId: number, bytes: Buffer): void {
    this.#headOf(bytes.length, frameType.data, 0, streamId);
    this.#remember(streamId);
    if (bytes.length <= copiedBytesMax) {
      this.#copy(bytes);
      return;
    }
    this.#closePart();
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  /** `block` is copied, in as many frames as `frameBytes` demand (§6.10). */
  headers(streamId: number, block: Buffer, frameBytes: number): void {
    const first = Math.min(block.length, frameBytes);
    const isWhole = first === block.length;
    this.#headOf(first, frameType.headers, isWhole ? frameFlag.endHeaders : 0, streamId);
    this.#remember(streamId);
    this.#copy(block.subarray(0, first));
    for (let at = first; at < block.length; at += frameBytes) {
      const end = Math.min(at + frameBytes, block.length);
      const flags = end === block.length ? frameFlag.endHeaders : 0;
      this.#headOf(end - at, frameType.continuation, flags, streamId);
      this.#copy(block.subarray(at, end));
    }
  }

  /**
   * Ends the stream: by a flag on its last frame, if that was the last of all and has not been taken,
   * else by an empty DATA frame.
   */
  endStream(streamId: number): void {
    if (this.#lastStreamId === streamId) {
      this.#lastSlab[this.#lastFlagsAt] =
        (this.#lastSlab[this.#lastFlagsAt] ?? 0) | frameFlag.endStream;
      this.#lastStreamId = 0;
    } else {
      this.#headOf(0, frameType.data, frameFlag.endStream, streamId);
    }
  }

  settings(pairs: readonly (readonly [id: number, value: number])[]): void {
    this.#headOf(pairs.length * 6, frameType.settings, 0, 0);
    this.#reserve(pairs.length * 6);
    for (const [id, value] of pairs) {
      this.#slab.writeUInt16BE(id, this.#at);
      this.#slab.writeUInt32BE(value, this.#at + 2);
      this.#advance(6);
    }
  }

  settingsAck(): void {
    this.#headOf(0, frameType.settings, frameFlag.ack, 0);
  }

  ping(payload: Buffer, isAck: boolean): void {
    this.#headOf(8, frameType.ping, isAck ? frameFlag.ack : 0, 0);
    this.#copy(payload);
  }

  resetStream(streamId: number, code: ErrorCode): void {
    this.#headOf(4, frameType.rstStream, 0, streamId);
    this.#number(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#headOf(4, frameType.windowUpdate, 0, streamId);
    this.#number(increment);
  }

  goaway(lastStreamId: number, code: ErrorCode, debug: string): void {
    this.#headOf(8 + debug.length, frameType.goaway, 0, 0);
    this.#number(lastStreamId);
    this.#number(code);
    this.raw(debug);
  }

  #headOf(length: number, type: number, flags: number, streamId: number): void {
    this.#reserve(frameHeadBytes);
    const slab = this.#slab;
    const at = this.#at;
    slab[at] = length >>> 16;
    slab[at + 1] = length >>> 8;
    slab[at + 2] = length;
    slab[at + 3] = type;
    slab[at + 4] = flags;
    slab[at + 5] = streamId >>> 24;
    slab[at + 6] = streamId >>> 16;
    slab[at + 7] = streamId >>> 8;
    slab[at + 8] = streamId;
    // Only the frame that was written last may still be marked as its stream's end.
    this.#lastStreamId = 0;
    this.#advance(frameHeadBytes);
  }

  #remember(streamId: number): void {
    this.#lastStreamId = streamId;
    this.#lastSlab = this.#slab;
    this.#lastFlagsAt = this.#at - frameHeadBytes + 4;
  }

  #number(value: number): void {
    this.#reserve(4);
    this.#slab.writeUInt32BE(value, this.#at);
    this.#advance(4);
  }

  #copy(bytes: Buffer): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#slab, this.#at);
    this.#advance(bytes.length);
  }

  #advance(length: number): void {
    this.#at += length;
    this.#bytes += length;
  }

  /** Makes room in a row. What was taken is never written to again: the socket may still hold it. */
  #reserve(length: number): void {
    if (this.#slab.length - this.#at >= length) return;
    this.#closePart();
    this.#slab = Buffer.allocUnsafe(Math.max(slabBytes, length));
    this.#from = 0;
    this.#at = 0;
  }

  #closePart(): void {
    if (this.#at > this.#from) this.#parts.push(this.#slab.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }
}

const nothing = Buffer.alloc(0);
// Some twenty small messages; an idle connection holds none.
const slabBytes = 4096;
// Below this a copy is cheaper than one more piece to be written.
const copiedBytesMax = 1024;
