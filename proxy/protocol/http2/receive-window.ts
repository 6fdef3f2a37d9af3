/** Our half of flow control (RFC 9113 §6.9): what the peer may still send, and when it is told of more. */

export class ReceiveWindow {
  readonly #size: number;
  #left: number;
  /** Taken out of our hands and not yet given back to the peer. */
  #owed = 0;

  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  /** Counts bytes that came; false if the peer was not allowed to send them. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /**
   * Counts bytes that are off our hands. Answers by how much to open the window: nothing until it is
   * half of the whole, since each small increment would be a frame.
   */
  release(bytes: number): number {
    this.#owed += bytes;
    if (this.#owed * 2 < this.#size) return 0;
    const increment = this.#owed;
    this.#owed = 0;
    this.#left += increment;
    return increment;
  }
}
