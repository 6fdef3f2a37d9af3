/** One JSON line per request or relay, gathered and written off the hot path, and dropped rather than waited for. */

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

/** A connection that was relayed unread. */
export interface RelayRecord {
  readonly listener: string;
  readonly cluster: string;
  /** What came from the client, and what came from the server. */
  readonly bytesUpstream: number;
  readonly bytesDownstream: number;
  readonly durationMs: number;
  readonly peer: string | undefined;
  readonly upstream: string | undefined;
  /** Why there was no relay, or which side broke it off; undefined where both ended. */
  readonly fault: string | undefined;
}

export interface AccessLog extends Closable {
  write(record: AccessRecord): void;
  writeRelay(record: RelayRecord): void;
  /** Lines lost because the destination was slower than the traffic. */
  dropped(): number;
}

export const noAccessLog: AccessLog = {
  write() {},
  writeRelay() {},
  dropped: () => 0,
  async close() {},
};

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
    if (this.#hasRoom()) this.#add(formatLine(record, this.#clock.wallMs()));
  }

  writeRelay(record: RelayRecord): void {
    if (this.#hasRoom()) this.#add(formatRelay(record, this.#clock.wallMs()));
  }

  #hasRoom(): boolean {
    if (this.#text.length <= heldCharactersMax) return true;
    this.#dropped += 1;
    return false;
  }

  #add(line: string): void {
    this.#text += line;
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

function formatRelay(record: RelayRecord, nowMs: number): string {
  const { peer, upstream, fault } = record;
  return (
    `{"time":"${new Date(nowMs).toISOString()}","listener":"${record.listener}"` +
    `,"protocol":"tcp","cluster":"${record.cluster}"` +
    `,"bytesUpstream":${record.bytesUpstream},"bytesDownstream":${record.bytesDownstream}` +
    `,"durationMs":${record.durationMs.toFixed(3)}` +
    (peer === undefined ? '' : `,"peer":"${peer}"`) +
    (upstream === undefined ? '' : `,"upstream":"${upstream}"`) +
    `${fault === undefined ? '' : `,"fault":${JSON.stringify(fault)}`}}\n`
  );
}

// Long enough to make one write of hundreds of lines, short enough to be watched.
const flushMs = 200;
// Some ten thousand lines. A destination that slow is broken, and memory is worth more than its log.
const heldCharactersMax = 2 * 1024 * 1024;
