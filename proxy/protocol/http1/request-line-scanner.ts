/** One resumable pass over a request line (RFC 9112 §3). */

import type { Buffer } from 'node:buffer';
import type { ScanResult } from './field-scanner.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import { minorVersionAt, refuseVersion, versionLength } from './http-version.ts';
import { formatOctet, isTargetOctet, isTokenOctet, octet } from './octets.ts';

/** Positions are relative to the start of the head, as in the field scanner. */
export class RequestLineScanner {
  readonly #lineBytesMax: number;
  #state: number = state.leading;
  #position = 0;
  methodStart = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  minorVersion: 0 | 1 = 1;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  reset(): void {
    this.#state = state.leading;
    this.#position = 0;
    this.methodStart = 0;
  }

  /** After `done`: just behind the line's CRLF. */
  get position(): number {
    return this.#position;
  }

  scan(bytes: Buffer, base: number, length: number): ScanResult {
    const stop = Math.min(length, this.#lineBytesMax);
    let at = this.#position;
    while (at < stop) {
      switch (this.#state) {
        case state.leading: {
          // RFC 9112 §2.2: one empty line before a request is the remnant of an old client's body.
          const isEmptyLine = bytes[base + at] === octet.cr;
          if (isEmptyLine) at += 1;
          this.#state = isEmptyLine ? state.leadingLf : state.method;
          break;
        }
        case state.leadingLf: {
          if (bytes[base + at] !== octet.lf) return refuseBareCr(at);
          at += 1;
          this.methodStart = at;
          this.#state = state.method;
          break;
        }
        case state.method: {
          while (at < stop && isTokenOctet[bytes[base + at] ?? 0] === 1) at += 1;
          if (at - this.methodStart > methodBytesMax) {
            return refuse('method_too_long', `method exceeds ${methodBytesMax} bytes`, 501);
          }
          if (at === stop) break;
          if (bytes[base + at] !== octet.space || at === this.methodStart) {
            return refuseMethod(bytes[base + at], at);
          }
          this.methodEnd = at;
          at += 1;
          this.targetStart = at;
          this.#state = state.target;
          break;
        }
        case state.target: {
          while (at < stop && isTargetOctet[bytes[base + at] ?? 0] === 1) at += 1;
          if (at === stop) break;
          if (bytes[base + at] !== octet.space || at === this.targetStart) {
            return refuseTarget(bytes[base + at], at);
          }
          this.targetEnd = at;
          at += 1;
          this.#state = state.version;
          break;
        }
        case state.version: {
          const versionStart = this.targetEnd + 1;
          const versionEnd = versionStart + versionLength;
          while (at < stop && at < versionEnd && !isLineEnd(bytes[base + at])) at += 1;
          if (at === stop && at < versionEnd) break;
          const minor = at === versionEnd ? minorVersionAt(bytes, base + versionStart) : undefined;
          if (minor === undefined) return refuseVersion(bytes, base + versionStart, base + at);
          this.minorVersion = minor;
          this.#state = state.cr;
          break;
        }
        case state.cr: {
          if (bytes[base + at] !== octet.cr) return refuseAfterVersion(bytes[base + at], at);
          at += 1;
          this.#state = state.lf;
          break;
        }
        default: {
          if (bytes[base + at] !== octet.lf) return refuseBareCr(at);
          this.#position = at + 1;
          return 'done';
        }
      }
    }
    this.#position = at;
    if (at < this.#lineBytesMax) return 'more';
    return refuse('target_too_long', `request line exceeds ${this.#lineBytesMax} bytes`, 414);
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === octet.cr || byte === octet.lf;
}

function refuseMethod(byte: number | undefined, at: number): Http1ErrorEvent {
  if (byte === octet.lf) return refuse('line_ending', `LF without CR at offset ${at}`);
  return refuse('method_invalid', `byte ${formatOctet(byte)} in the method at offset ${at}`);
}

function refuseTarget(byte: number | undefined, at: number): Http1ErrorEvent {
  if (byte === octet.lf) return refuse('line_ending', `LF without CR at offset ${at}`);
  // A line that ends after the target is HTTP/0.9, which has no heads and no framing.
  if (byte === octet.cr) return refuse('version_invalid', `no version at offset ${at}`);
  return refuse('target_invalid', `byte ${formatOctet(byte)} in the target at offset ${at}`);
}

function refuseAfterVersion(byte: number | undefined, at: number): Http1ErrorEvent {
  if (byte === octet.lf) return refuse('line_ending', `LF without CR at offset ${at}`);
  return refuse('version_invalid', `byte ${formatOctet(byte)} after the version at offset ${at}`);
}

function refuseBareCr(at: number): Http1ErrorEvent {
  return refuse('line_ending', `CR without LF at offset ${at - 1}`);
}

const state = {
  leading: 0,
  leadingLf: 1,
  method: 2,
  target: 3,
  version: 4,
  cr: 5,
  lf: 6,
} as const;

// The longest registered method (UPDATEREDIRECTREF) has 17.
const methodBytesMax = 32;
