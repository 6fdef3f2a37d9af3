/** Has what connections read into collected in time, before the runtime takes the amount of it for a full heap. */

/**
 * Each read brings a buffer outside the heap, and whoever relays a stream drops it at once. The runtime counts their
 * bytes and marks the whole heap when they are some megabytes: at speed that is ten times a second, and took half of
 * what a relay costs (bench/RESULTS.md). The buffers are young, so that looking at the young alone frees them all.
 */
export class ReadMemory {
  readonly #collectYoung: () => void;
  #bytes = 0;

  /** `collectYoung` is core's, or a test's own. */
  constructor(collectYoung: () => void) {
    this.#collectYoung = collectYoung;
  }

  /** To be told of each read. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < bytesMax) return;
    this.#bytes = 0;
    this.#collectYoung();
  }
}

// V8 grows the limit of a heap by 8 MiB at least after it was marked, and counts such buffers against it: half of that.
const bytesMax = 4 * 1024 * 1024;
