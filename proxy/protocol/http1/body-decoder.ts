/** The body of one message, however it is framed, as a series of slices and an end. */

import { needMore } from '../byte-decoder.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';
import type { Http1BodyEvent } from './http1-event.ts';
import type { Http1Limits } from './limits.ts';
import { type Framing, noBody } from './message-framing.ts';
import type { ReceiveBuffer } from './receive-buffer.ts';

export class BodyDecoder {
  readonly #limits: Http1Limits;
  #framing: Framing = noBody;
  #remaining = 0;
  // Made at the first chunked body, since most connections never carry one.
  #chunked: ChunkedDecoder | undefined;

  constructor(limits: Http1Limits) {
    this.#limits = limits;
  }

  begin(framing: Framing): void {
    this.#framing = framing;
    this.#remaining = framing.kind === 'length' ? framing.length : 0;
    if (framing.kind !== 'chunked') return;
    this.#chunked ??= new ChunkedDecoder(this.#limits);
    this.#chunked.reset();
  }

  /** Whether the end of the connection would be the end of this body. */
  get endsWithConnection(): boolean {
    return this.#framing.kind === 'until_close' || this.#framing.kind === 'tunnel';
  }

  next(buffer: ReceiveBuffer): Http1BodyEvent {
    const { kind } = this.#framing;
    if (kind === 'chunked' && this.#chunked !== undefined) return this.#chunked.next(buffer);
    if (!this.endsWithConnection && this.#remaining === 0) return end;
    if (!buffer.fill()) return needMore;
    if (this.endsWithConnection) return { kind: 'data', bytes: buffer.take(buffer.length) };
    const bytes = buffer.take(this.#remaining);
    this.#remaining -= bytes.length;
    return { kind: 'data', bytes };
  }
}

const end: Http1BodyEvent = Object.freeze({ kind: 'end' });
