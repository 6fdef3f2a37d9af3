/** How the last streams ended, for frames that come after the end (RFC 9113 §5.1, "closed"). */

/** `reset_by_us`: the peer may not have heard yet, so its frames are no fault. */
export type ClosedBy = 'ended' | 'reset_by_us';

/** A ring: a peer that is in order sends nothing on a stream that ended longer ago than these. */
export class ClosedStreams {
  readonly #ids = new Int32Array(remembered);
  readonly #isReset = new Uint8Array(remembered);
  readonly #hasReset = new Uint8Array(remembered);
  #next = 0;

  add(id: number, by: ClosedBy): void {
    // A reset is recorded first, and then once more as the end that it is.
    if (this.#ids[(this.#next + remembered - 1) % remembered] === id) return;
    this.#ids[this.#next] = id;
    this.#isReset[this.#next] = by === 'reset_by_us' ? 1 : 0;
    this.#hasReset[this.#next] = 0;
    this.#next = (this.#next + 1) % remembered;
  }

  /** Undefined for what ended long ago, or was passed over and never began. */
  get(id: number): ClosedBy | undefined {
    const at = this.#ids.lastIndexOf(id);
    if (at === -1) return undefined;
    return this.#isReset[at] === 1 ? 'reset_by_us' : 'ended';
  }

  /**
   * A RST_STREAM of the peer after the end: whether it is the first of a stream that is remembered. One belongs
   * to each stream: a server that answers early says so behind its answer (§8.1), a client may cancel too late.
   */
  takeReset(id: number): boolean {
    const at = this.#ids.lastIndexOf(id);
    if (at === -1 || this.#hasReset[at] === 1) return false;
    this.#hasReset[at] = 1;
    return true;
  }
}

// As many as may be open at once, since all of them may be reset together.
const remembered = 256;
