/** Bytes that arrived and are not yet decoded: a window over what was pushed, joined only where it must be. */

import { Buffer } from 'node:buffer';

/**
 * The window `bytes[start, end)` is what a decoder looks at; further chunks wait behind it. Slices of
 * a window stay valid for ever, because nothing is ever written below `end`.
 */
export class ReceiveBuffer {
  bytes: Buffer = nothing;
  start = 0;
  end = 0;
  /** Whether `bytes` is ours, so that the space behind `end` may be written to. */
  #isOwned = false;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  get length(): number {
    return this.end - this.start + this.#waitingBytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.start === this.end && this.#waitingBytes === 0) {
      this.#adopt(chunk);
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
  }

  /** Makes the window non-empty if any byte is held; says whether it is. */
  fill(): boolean {
    if (this.start < this.end) return true;
    const next = this.#waiting.shift();
    if (next === undefined) {
      // An idle connection should not keep a socket's read buffer alive.
      this.#adopt(nothing);
      return false;
    }
    this.#waitingBytes -= next.length;
    this.#adopt(next);
    return true;
  }

  /**
   * Lengthens the window by waiting bytes, keeping what it shows contiguous; false if none wait.
   * Only a head that straddles two chunks needs this, so only such heads are copied.
   */
  extend(): boolean {
    if (this.start === this.end) return this.fill();
    const next = this.#waiting[0];
    if (next === undefined) return false;
    const moved = Math.min(next.length, joinBytesMax);
    if (!this.#isOwned || this.bytes.length - this.end < moved) this.#own(moved);
    next.copy(this.bytes, this.end, 0, moved);
    this.end += moved;
    this.#waitingBytes -= moved;
    if (moved === next.length) this.#waiting.shift();
    else this.#waiting[0] = next.subarray(moved);
    return true;
  }

  /** Takes up to `lengthMax` bytes off the front of the window, as a slice. */
  take(lengthMax: number): Buffer {
    const from = this.start;
    const until = Math.min(this.end, from + lengthMax);
    this.start = until;
    return from === 0 && until === this.bytes.length
      ? this.bytes
      : this.bytes.subarray(from, until);
  }

  clear(): void {
    this.#adopt(nothing);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #adopt(chunk: Buffer): void {
    this.bytes = chunk;
    this.start = 0;
    this.end = chunk.length;
    this.#isOwned = false;
  }

  /** Moves the window to memory of our own with room for `more`, doubling so that a drip costs O(n). */
  #own(more: number): void {
    const held = this.end - this.start;
    const grown = Buffer.allocUnsafe(Math.max(ownedBytesMin, 2 * (held + more)));
    this.bytes.copy(grown, 0, this.start, this.end);
    this.bytes = grown;
    this.start = 0;
    this.end = held;
    this.#isOwned = true;
  }
}

const nothing = Buffer.alloc(0);

// A head's tail is short; what lies behind it in the same chunk is body and is better not copied.
const joinBytesMax = 4 * 1024;
// Most heads fit, so that one that drips in is moved once.
const ownedBytesMin = 1024;
