/** How a dialled socket's bytes arrive: through one buffer for all of them, past the stream's own queue. */

import { Buffer } from 'node:buffer';
import type { OnReadOpts } from 'node:net';

/**
 * Node would allocate 64 KiB for every read and queue it. Given `onread`, it reads into our buffer and
 * calls at once, so one buffer serves every connection and an idle one holds none. What came is copied
 * out, since its reader keeps slices of it; for the few hundred bytes of a response that is nothing.
 */
export class Inlet {
  /** For the options of `connect`. */
  readonly onread: OnReadOpts;
  #receive: ((bytes: Buffer) => void) | undefined;
  #early: Buffer[] = [];

  constructor() {
    this.onread = {
      buffer: shared,
      callback: (length) => {
        const bytes = Buffer.allocUnsafe(length);
        shared.copy(bytes, 0, 0, length);
        if (this.#receive === undefined) this.#early.push(bytes);
        else this.#receive(bytes);
        return true;
      },
    };
  }

  /** From now on bytes go to `receive`; those that were quicker than it come first. */
  open(receive: (bytes: Buffer) => void): void {
    this.#receive = receive;
    for (const bytes of this.#early.splice(0)) receive(bytes);
  }
}

/**
 * What one read brings at most. Four times what Node reads by itself: a stream then takes a quarter of the calls, and
 * what is read goes on in one piece, where TLS would first copy several into one.
 */
export const readBytesMax = 256 * 1024;
const shared = Buffer.allocUnsafeSlow(readBytesMax);
