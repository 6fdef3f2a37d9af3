/** Has what connections read into collected in time, before the runtime takes the amount of it for a full heap. */

/**
 * Each read brings a buffer outside the heap, and whoever relays a stream drops it at once. The runtime counts their
 * bytes and marks the whole heap when they are some megabytes: at speed that is ten times a second, and took half of
 * what a relay costs (bench/RESULTS.md). The buffers are young, so that looking at the young alone frees them all.
 */
export class ReadMemory {
  readonly #collectYoung: () => void;
  readonly #onMuch: () => void;
  #bytes = 0;
  #rounds = 0;

  /** `collectYoung` is core's, or a test's own; `onMuch` is told each time after it was called. */
  constructor(collectYoung: () => void, onMuch: () => void = () => {}) {
    this.#collectYoung = collectYoung;
    this.#onMuch = onMuch;
  }

  /** All that was read so far. */
  get total(): number {
    return this.#rounds * bytesMax + this.#bytes;
  }

  /** To be told of each read. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < bytesMax) return;
    this.#rounds += 1;
    this.#bytes -= bytesMax;
    this.#collectYoung();
    this.#onMuch();
  }

  /** To be told of each handshake. */
  addHandshake(): void {
    this.add(handshakeBytes);
  }
}

// V8 grows the limit of a heap by 8 MiB at least after it was marked, and counts such buffers against it: half of that.
const bytesMax = 4 * 1024 * 1024;
// About what the certificates and keys of one are, in memory that the runtime does not see.
const handshakeBytes = 16 * 1024;
