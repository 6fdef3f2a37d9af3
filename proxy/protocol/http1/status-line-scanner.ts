/** One resumable pass over a status line (RFC 9112 §4). */

import type { Buffer } from 'node:buffer';
import type { ScanResult } from './field-scanner.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import { minorVersionAt, refuseVersion, versionLength } from './http-version.ts';
import { formatOctet, isFieldOctet, octet } from './octets.ts';

/** Positions are relative to the start of the head, as in the field scanner. */
export class StatusLineScanner {
  readonly #lineBytesMax: number;
  #state: number = state.version;
  #position = 0;
  minorVersion: 0 | 1 = 1;
  status = 0;
  /** Where the reason phrase begins and ends; both at the CR if there is none. */
  hasReason = false;
  reasonStart = 0;
  reasonEnd = 0;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  reset(): void {
    this.#state = state.version;
    this.#position = 0;
    this.status = 0;
  }

  /** After `done`: just behind the line's CRLF. */
  get position(): number {
    return this.#position;
  }

  scan(bytes: Buffer, base: number, length: number): ScanResult {
    const stop = Math.min(length, this.#lineBytesMax);
    let at = this.#position;
    while (at < stop) {
      const byte = bytes[base + at];
      switch (this.#state) {
        case state.version: {
          while (at < stop && at < versionLength && !isLineEnd(bytes[base + at])) at += 1;
          if (at === stop && at < versionLength) break;
          const minor = at === versionLength ? minorVersionAt(bytes, base) : undefined;
          if (minor === undefined) return refuseVersion(bytes, base, base + at);
          this.minorVersion = minor;
          this.#state = state.space;
          break;
        }
        case state.space:
          if (byte !== octet.space) return refuseLine(byte, at);
          at += 1;
          this.#state = state.status;
          break;
        case state.status: {
          const digit = (byte ?? 0) - zero;
          if (digit < 0 || digit > 9) return refuseLine(byte, at);
          at += 1;
          this.status = this.status * 10 + digit;
          if (at < statusEnd) break;
          // RFC 9110 §15: codes outside 100–599 are invalid.
          if (this.status < 100 || this.status > 599) {
            return refuse('status_code_invalid', `status code ${this.status}`);
          }
          this.#state = state.afterStatus;
          break;
        }
        case state.afterStatus:
          // RFC 9112 §4 wants a space even before an empty reason; many servers leave it out, and
          // nothing hangs on it.
          if (byte !== octet.space && byte !== octet.cr) return refuseLine(byte, at);
          this.hasReason = byte === octet.space;
          if (this.hasReason) at += 1;
          this.reasonStart = at;
          this.#state = state.reason;
          break;
        case state.reason: {
          while (at < stop && isFieldOctet[bytes[base + at] ?? 0] === 1) at += 1;
          if (at === stop) break;
          if (bytes[base + at] !== octet.cr) return refuseLine(bytes[base + at], at);
          this.reasonEnd = at;
          at += 1;
          this.#state = state.lf;
          break;
        }
        default:
          if (byte !== octet.lf) return refuse('line_ending', `CR without LF at offset ${at - 1}`);
          this.#position = at + 1;
          return 'done';
      }
    }
    this.#position = at;
    if (at < this.#lineBytesMax) return 'more';
    return refuse('status_line_invalid', `status line exceeds ${this.#lineBytesMax} bytes`);
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === octet.cr || byte === octet.lf;
}

function refuseLine(byte: number | undefined, at: number): Http1ErrorEvent {
  if (byte === octet.lf) return refuse('line_ending', `LF without CR at offset ${at}`);
  return refuse('status_line_invalid', `byte ${formatOctet(byte)} at offset ${at}`);
}

const state = {
  version: 0,
  space: 1,
  status: 2,
  afterStatus: 3,
  reason: 4,
  lf: 5,
} as const;

const zero = 0x30;
// Version, space and three digits.
const statusEnd = versionLength + 4;
