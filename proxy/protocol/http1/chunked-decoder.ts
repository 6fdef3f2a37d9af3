/** The chunked transfer coding (RFC 9112 §7.1), taken apart strictly and without copying data. */

import { FieldScanner } from './field-scanner.ts';
import { HeaderBlock } from './header-block.ts';
import { type Http1BodyEvent, type Http1ErrorEvent, refuse } from './http1-event.ts';
import type { Http1Limits } from './limits.ts';
import { ChunkExtensionScanner } from './chunk-extension.ts';
import { formatOctet, hexValue, octet } from './octets.ts';
import type { ReceiveBuffer } from './receive-buffer.ts';
import { forbiddenTrailer } from './trailer-fields.ts';
import { needMore } from '../byte-decoder.ts';

export class ChunkedDecoder {
  readonly #limits: Http1Limits;
  readonly #extension: ChunkExtensionScanner;
  readonly #trailers: FieldScanner;
  #state: number = state.size;
  #digits = 0;
  #size = 0;
  #remaining = 0;
  #total = 0;

  constructor(limits: Http1Limits) {
    this.#limits = limits;
    this.#extension = new ChunkExtensionScanner(limits.chunkExtensionBytesMax);
    this.#trailers = new FieldScanner(limits);
  }

  reset(): void {
    this.#total = 0;
    this.#beginSize();
    this.#extension.resetBody();
  }

  next(buffer: ReceiveBuffer): Http1BodyEvent {
    while (this.#state !== state.trailers) {
      if (!buffer.fill()) return needMore;
      if (this.#state === state.data) {
        const bytes = buffer.take(this.#remaining);
        this.#remaining -= bytes.length;
        if (this.#remaining === 0) this.#state = state.dataCr;
        return { kind: 'data', bytes };
      }
      const failure = this.#step(buffer.bytes[buffer.start] ?? 0);
      if (failure !== undefined) return failure;
      buffer.start += 1;
    }
    return this.#nextTrailers(buffer);
  }

  /** One byte of framing. Chunk lines are short, so they are not worth a loop per state. */
  #step(byte: number): Http1ErrorEvent | undefined {
    switch (this.#state) {
      case state.size:
        return this.#stepSize(byte);
      case state.extension: {
        if (byte !== octet.cr || !this.#extension.mayEnd) return this.#extension.step(byte);
        this.#state = state.sizeLf;
        return undefined;
      }
      case state.sizeLf:
        if (byte !== octet.lf) return refuse('line_ending', 'CR without LF after a chunk size');
        return this.#endSizeLine();
      case state.dataCr:
        if (byte !== octet.cr) return unterminated;
        this.#state = state.dataLf;
        return undefined;
      default:
        if (byte !== octet.lf) return unterminated;
        this.#beginSize();
        return undefined;
    }
  }

  #stepSize(byte: number): Http1ErrorEvent | undefined {
    const digit = hexValue[byte] ?? notHex;
    if (digit !== notHex) {
      this.#digits += 1;
      // A bound on digits as well as on the value: zeros without end would never be a size.
      if (this.#digits > sizeDigitsMax) {
        return refuse('chunk_size_invalid', `a chunk size of more than ${sizeDigitsMax} digits`);
      }
      this.#size = this.#size * 16 + digit;
      if (this.#total + this.#size <= this.#limits.bodyBytesMax) return undefined;
      return refuse('body_too_large', `chunks exceed ${this.#limits.bodyBytesMax} bytes`, 413);
    }
    if (this.#digits > 0 && byte === octet.cr) {
      this.#state = state.sizeLf;
      return undefined;
    }
    if (this.#digits > 0 && byte === octet.semicolon) {
      this.#state = state.extension;
      return this.#extension.step(byte);
    }
    if (byte === octet.lf) return refuse('line_ending', 'LF without CR after a chunk size');
    return refuse('chunk_size_invalid', `byte ${formatOctet(byte)} in a chunk size`);
  }

  #endSizeLine(): undefined {
    this.#total += this.#size;
    this.#remaining = this.#size;
    if (this.#size > 0) {
      this.#state = state.data;
      return;
    }
    this.#state = state.trailers;
    this.#trailers.reset(0);
  }

  #beginSize(): void {
    this.#state = state.size;
    this.#digits = 0;
    this.#size = 0;
  }

  #nextTrailers(buffer: ReceiveBuffer): Http1BodyEvent {
    for (;;) {
      const result = this.#trailers.scan(buffer.bytes, buffer.start, buffer.end - buffer.start);
      if (result === 'done') break;
      if (result !== 'more') return result;
      if (!buffer.extend()) return needMore;
    }
    const raw = buffer.take(this.#trailers.position);
    const { scanned } = this.#trailers;
    if (scanned.fields.length === 0) return end;
    const trailers = new HeaderBlock(raw, scanned);
    const name = forbiddenTrailer(trailers);
    if (name !== undefined) return refuse('trailer_forbidden', `${name} among the trailer fields`);
    return { kind: 'end', trailers };
  }
}

const end: Http1BodyEvent = Object.freeze({ kind: 'end' });

const unterminated = Object.freeze(
  refuse('chunk_data_unterminated', 'chunk data is not followed by CRLF'),
);

const state = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  trailers: 6,
} as const;

const notHex = 255;
// Sixteen digits write every 64-bit size; some senders pad to that width.
const sizeDigitsMax = 16;
