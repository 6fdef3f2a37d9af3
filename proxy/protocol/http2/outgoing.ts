/** What a session sends: the peer's limits kept, DATA shared out fairly, heads compressed. */

import type { Buffer } from 'node:buffer';
import type { Field } from './field.ts';
import { crumbBytes, type FloodGuard } from './flood-guard.ts';
import { windowDefault, windowMax } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import { HpackEncoder } from './hpack/hpack-encoder.ts';
import type { Http2Stream } from './http2-stream.ts';
import { initialSettings, type PeerSettings } from './settings.ts';

export class Outgoing {
  readonly frames = new FrameWriter();
  readonly #encoder = new HpackEncoder();
  #settings: PeerSettings = initialSettings();
  /** The connection's window (§6.9): what the peer lets us send on all streams together. */
  #window = windowDefault;
  /** Streams with something to send that could not go. In the order in which they have their turn. */
  readonly #waiting = new Set<Http2Stream>();
  #isSocketFull = false;
  readonly #guard: Pick<FloodGuard, 'onWork'>;

  constructor(guard: Pick<FloodGuard, 'onWork'>) {
    this.#guard = guard;
  }

  get settings(): Readonly<PeerSettings> {
    return this.#settings;
  }

  /** Takes over new settings; answers by how much the window of each stream changes (§6.9.2). */
  adopt(settings: PeerSettings): number {
    const change = settings.initialWindowSize - this.#settings.initialWindowSize;
    this.#settings = settings;
    this.#encoder.allow(settings.headerTableSize);
    return change;
  }

  head(streamId: number, fields: readonly Field[]): void {
    const block: Buffer = this.#encoder.encode(fields);
    this.frames.headers(streamId, block, this.#settings.maxFrameSize);
  }

  /** Sends what may go of one stream, and lets it wait for its turn with the rest. */
  pump(stream: Http2Stream): void {
    while (this.#sendOne(stream)) continue;
    if (stream.isBlocked) this.#waiting.add(stream);
    else this.#finish(stream);
  }

  /** One frame of each waiting stream, round and round, until nothing more may go. */
  pumpAll(): void {
    let hasSent = true;
    while (hasSent && !this.#isSocketFull && this.#window > 0) {
      hasSent = false;
      for (const stream of this.#waiting) {
        if (this.#sendOne(stream)) hasSent = true;
        if (!stream.isBlocked) this.#finish(stream);
      }
    }
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream);
  }

  /** False if the window would be larger than one may be (§6.9.1). */
  openWindow(increment: number): boolean {
    this.#window += increment;
    return this.#window <= windowMax;
  }

  /** The socket takes no more for now: DATA waits with its stream. Frames of other kinds are small and few. */
  set isSocketFull(isFull: boolean) {
    this.#isSocketFull = isFull;
  }

  #sendOne(stream: Http2Stream): boolean {
    if (this.#isSocketFull) return false;
    const allowed = Math.min(this.#window, stream.sendWindow, this.#settings.maxFrameSize);
    const bytes = stream.takeSending(Math.min(allowed, sentFrameBytesMax));
    if (bytes === undefined) return false;
    this.#window -= bytes.length;
    stream.sendWindow -= bytes.length;
    this.frames.data(stream.id, bytes);
    // What a window opened by crumbs lets go is the flood itself.
    if (bytes.length >= crumbBytes || !stream.isBlocked) this.#guard.onWork();
    return true;
  }

  #finish(stream: Http2Stream): void {
    this.#waiting.delete(stream);
    const end = stream.takeEnd();
    if (end !== undefined) {
      if (end.length > 0) this.head(stream.id, end);
      this.frames.endStream(stream.id);
      stream.advance('send_end');
    }
    stream.drained();
  }
}

// Larger frames, which a peer may allow, would let one stream keep the others waiting.
const sentFrameBytesMax = 16_384;
