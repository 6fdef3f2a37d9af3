/** One JSON line per request, gathered and written off the hot path, and dropped rather than waited for. */

import type { Writable } from 'node:stream';
import type { Clock, Closable, Timer } from '../core/index.ts';

export interface AccessRecord {
  readonly listener: string;
  readonly method: string;
  /** Without the query, which may hold secrets. */
  readonly path: string;
  /** What the client was answered; 0 if it was not. */
  readonly status: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly peer: string | undefined;
  readonly upstream: string | undefined;
  readonly requestId: string | undefined;
  /** Why it did not go well. */
  readonly fault: string | undefined;
}

export interface AccessLog extends Closable {
  write(record: AccessRecord): void;
  /** Lines lost because the destination was slower than the traffic. */
  dropped(): number;
}

export const noAccessLog: AccessLog = { write() {}, dropped: () => 0, async close() {} };

/** Writes to `destination`; an error of it is counted as lost lines and never reaches a request. */
export function createAccessLog(destination: Writable, clock: Clock): AccessLog {
  return new BufferedAccessLog(destination, clock);
}

class BufferedAccessLog implements AccessLog {
  readonly #destination: Writable;
  readonly #clock: Clock;
  #text = '';
  #lines = 0;
  #dropped = 0;
  #timer: Timer | undefined;

  constructor(destination: Writable, clock: Clock) {
    this.#destination = destination;
    this.#clock = clock;
  }

  write(record: AccessRecord): void {
    if (this.#text.length > heldCharactersMax) {
      this.#dropped += 1;
      return;
    }
    this.#text += formatLine(record, this.#clock.wallMs());
    this.#lines += 1;
    this.#timer ??= this.#clock.after(flushMs, () => this.#flush());
  }

  dropped(): number {
    return this.#dropped;
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#lines === 0) return;
    if (this.#destination.destroyed) {
      this.#dropped += this.#lines;
    } else if (this.#destination.writableLength > heldCharactersMax) {
      // What was given before has not been taken; it is tried again, and writing goes on up to the bound.
      this.#timer = this.#clock.after(flushMs, () => this.#flush());
      return;
    } else {
      this.#destination.write(this.#text);
    }
    this.#text = '';
    this.#lines = 0;
  }
}

function formatLine(record: AccessRecord, nowMs: number): string {
  const { peer, upstream, requestId, fault } = record;
  return (
    `{"time":"${new Date(nowMs).toISOString()}","listener":"${record.listener}"` +
    `,"method":${JSON.stringify(record.method)},"path":${JSON.stringify(record.path)}` +
    `,"status":${record.status},"requestBytes":${record.requestBytes}` +
    `,"responseBytes":${record.responseBytes},"durationMs":${record.durationMs.toFixed(3)}` +
    (peer === undefined ? '' : `,"peer":"${peer}"`) +
    (upstream === undefined ? '' : `,"upstream":"${upstream}"`) +
    (requestId === undefined ? '' : `,"requestId":${JSON.stringify(requestId)}`) +
    `${fault === undefined ? '' : `,"fault":${JSON.stringify(fault)}`}}\n`
  );
}

// Long enough to make one write of hundreds of lines, short enough to be watched.
const flushMs = 200;
// Some ten thousand lines. A destination that slow is broken, and memory is worth more than its log.
const heldCharactersMax = 2 * 1024 * 1024;
