/** One pass over field lines (RFC 9112 §5), byte by byte, that can stop and go on at any byte. */

import type { Buffer } from 'node:buffer';
import { fieldStride, type ScannedFields } from './header-block.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import { knownFieldAt } from './known-field.ts';
import { formatOctet, isBlank, isFieldOctet, isTokenOctet, octet } from './octets.ts';

/** `more`: every byte was looked at and none was wrong. */
export type ScanResult = 'more' | 'done' | Http1ErrorEvent;

export interface FieldScannerLimits {
  readonly headerBytesMax: number;
  readonly headerCountMax: number;
}

/**
 * Finds where names and values begin and end. The window it is given may move and grow between two
 * calls, so every position is relative to the start of the head.
 */
export class FieldScanner {
  readonly #limits: FieldScannerLimits;
  #state: number = state.lineStart;
  /** The next byte to look at. */
  #position = 0;
  #positionMax = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #valueStart = 0;
  #fields: number[] = [];
  #fieldsEnd = 0;
  #present = 0;
  #repeated = 0;

  constructor(limits: FieldScannerLimits) {
    this.#limits = limits;
  }

  /** Begins a new section whose first byte stands at `position`. */
  reset(position: number): void {
    this.#state = state.lineStart;
    this.#position = position;
    this.#positionMax = position + this.#limits.headerBytesMax;
    // The last block keeps the old array.
    this.#fields = [];
    this.#fieldsEnd = position;
    this.#present = 0;
    this.#repeated = 0;
  }

  /** After `done`: just behind the empty line. */
  get position(): number {
    return this.#position;
  }

  get scanned(): ScannedFields {
    return {
      fields: this.#fields,
      fieldsEnd: this.#fieldsEnd,
      present: this.#present,
      repeated: this.#repeated,
    };
  }

  /** Goes on over `bytes[base, base + length)`, where `base` is the start of the head. */
  scan(bytes: Buffer, base: number, length: number): ScanResult {
    const stop = Math.min(length, this.#positionMax);
    let at = this.#position;
    // In a local, since the loop below is where a proxy spends its time.
    let now = this.#state;
    // Each state falls into the next, so a line that is whole is read in one turn.
    while (at < stop) {
      if (now === state.lineStart) {
        const byte = bytes[base + at];
        if (isBlank(byte)) return this.#refuseLeadingSpace(at);
        this.#nameStart = at;
        now = state.name;
        if (byte === octet.cr) {
          this.#fieldsEnd = at;
          at += 1;
          now = state.finalLf;
        }
      }
      if (now === state.name) {
        while (at < stop && isTokenOctet[bytes[base + at] ?? 0] === 1) at += 1;
        if (at === stop) break;
        const failure = this.#endName(bytes[base + at], at);
        if (failure !== undefined) return failure;
        at += 1;
        now = state.valueStart;
      }
      if (now === state.valueStart) {
        while (at < stop && isBlank(bytes[base + at])) at += 1;
        if (at === stop) break;
        this.#valueStart = at;
        now = state.value;
      }
      if (now === state.value) {
        while (at < stop && isFieldOctet[bytes[base + at] ?? 0] === 1) at += 1;
        if (at === stop) break;
        if (bytes[base + at] !== octet.cr) return refuseValue(bytes[base + at], at);
        at += 1;
        now = state.valueLf;
      }
      if (at === stop) break;
      if (bytes[base + at] !== octet.lf) return refuseBareCr(at);
      at += 1;
      if (now === state.finalLf) {
        this.#position = at;
        return 'done';
      }
      this.#endField(bytes, base, at - 2);
      now = state.lineStart;
    }
    this.#position = at;
    this.#state = now;
    if (at < this.#positionMax) return 'more';
    return refuse(
      'headers_too_large',
      `field lines exceed ${this.#limits.headerBytesMax} bytes`,
      431,
    );
  }

  /** What ended the name must be a colon. */
  #endName(byte: number | undefined, at: number): Http1ErrorEvent | undefined {
    if (byte !== octet.colon || at === this.#nameStart) {
      return refuseName(byte, at, at === this.#nameStart);
    }
    const { headerCountMax } = this.#limits;
    if (this.#fields.length === headerCountMax * fieldStride) {
      return refuse('headers_too_many', `more than ${headerCountMax} field lines`, 431);
    }
    this.#nameEnd = at;
    return undefined;
  }

  #endField(bytes: Buffer, base: number, lineEnd: number): void {
    let valueEnd = lineEnd;
    while (valueEnd > this.#valueStart && isBlank(bytes[base + valueEnd - 1])) valueEnd -= 1;
    const known = knownFieldAt(bytes, base + this.#nameStart, base + this.#nameEnd);
    if (known !== 0) {
      const bit = 1 << known;
      this.#repeated |= this.#present & bit;
      this.#present |= bit;
    }
    this.#fields.push(this.#nameStart, this.#nameEnd, this.#valueStart, valueEnd, known);
  }

  #refuseLeadingSpace(at: number): Http1ErrorEvent {
    // RFC 9112 §5.2 and §2.2: a server refuses a folded line, and space before the first field.
    return this.#fields.length > 0
      ? refuse('header_folded', `a field line begins with white space at offset ${at}`)
      : refuse('header_name_whitespace', `white space before the first field at offset ${at}`);
  }
}

function refuseName(byte: number | undefined, at: number, isEmpty: boolean): Http1ErrorEvent {
  // RFC 9112 §2.2 lets a recipient take a bare LF as a line end; doing so differently from the next
  // hop is how requests are smuggled, so it is refused everywhere.
  if (byte === octet.lf) return refuse('line_ending', `LF without CR at offset ${at}`);
  if (isBlank(byte)) {
    // RFC 9112 §5.1: a server must answer 400 to white space between name and colon.
    return refuse('header_name_whitespace', `white space in a field name at offset ${at}`);
  }
  if (isEmpty && byte === octet.colon) {
    return refuse('header_name_invalid', `empty field name at offset ${at}`);
  }
  return refuse('header_name_invalid', `byte ${formatOctet(byte)} in a field name at offset ${at}`);
}

function refuseValue(byte: number | undefined, at: number): Http1ErrorEvent {
  if (byte === octet.lf) return refuse('line_ending', `LF without CR at offset ${at}`);
  return refuse(
    'header_value_invalid',
    `byte ${formatOctet(byte)} in a field value at offset ${at}`,
  );
}

function refuseBareCr(at: number): Http1ErrorEvent {
  return refuse('line_ending', `CR without LF at offset ${at - 1}`);
}

const state = {
  lineStart: 0,
  name: 1,
  valueStart: 2,
  value: 3,
  valueLf: 4,
  finalLf: 5,
} as const;
