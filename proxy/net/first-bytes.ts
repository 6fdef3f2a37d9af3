/** The first bytes of an accepted socket, looked at before anybody is given the socket, and put back. */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { nextTick } from 'node:process';
import { type Deadlines, type Expiring, never } from './deadlines.ts';

/** One thing to find at the beginning; the next stage begins where it ends. */
export interface FirstBytesStage {
  /** What has come since it was last asked. A stage bounds itself: it refuses what does not end. */
  read(bytes: Buffer): StageAnswer;
  /** Asked as the stage begins: after how long nothing at all is an answer too. Undefined if it never is. */
  silenceMsMax?(): number | undefined;
  /** Nothing came for so long, and no further stage is asked. */
  onSilence?(): void;
}

export type StageAnswer =
  | { readonly kind: 'need_more' }
  /** So many bytes from its beginning are for nobody else; none, where it only looked. */
  | { readonly kind: 'done'; readonly consumed: number }
  | { readonly kind: 'refused'; readonly detail: string };

export type FirstBytesOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly detail: string }
  | { readonly kind: 'closed' };

export interface FirstBytesOptions {
  readonly stages: readonly FirstBytesStage[];
  readonly deadlines: Deadlines;
  /** For all stages together. */
  readonly msMax: number;
}

/** Calls `done` once. On `done` the socket's next bytes are those that no stage consumed, and nobody reads it yet. */
export function readFirstBytes(
  socket: Socket,
  options: FirstBytesOptions,
  done: (outcome: FirstBytesOutcome) => void,
): void {
  new FirstBytes(socket, options, done).begin();
}

class FirstBytes implements Expiring {
  deadlineMs: number;
  readonly #socket: Socket;
  readonly #deadlines: Deadlines;
  readonly #stages: FirstBytesStage[];
  readonly #done: (outcome: FirstBytesOutcome) => void;
  /** All that was read, from where the stage under way begins. */
  #chunks: Buffer[] = [];
  #isOver = false;
  /** Whether nothing by {@link deadlineMs} is an answer. */
  #maySilence = false;
  /** For all stages together. */
  readonly #wholeMs: number;

  constructor(
    socket: Socket,
    options: FirstBytesOptions,
    done: (outcome: FirstBytesOutcome) => void,
  ) {
    this.#socket = socket;
    this.#deadlines = options.deadlines;
    this.#stages = [...options.stages];
    this.#done = done;
    this.#wholeMs = options.deadlines.in(options.msMax);
    this.deadlineMs = this.#wholeMs;
    this.#timeSilence();
  }

  begin(): void {
    this.#deadlines.add(this);
    this.#socket.on('readable', this.#onReadable);
    this.#socket.on('end', this.#onClosed);
    this.#socket.on('close', this.#onClosed);
  }

  onDeadline(): void {
    if (this.#maySilence) {
      this.#stages[0]?.onSilence?.();
      this.#finish({ kind: 'done' });
      return;
    }
    this.#finish({ kind: 'refused', detail: 'the first bytes did not come in time' });
  }

  readonly #onReadable = (): void => {
    const chunk: unknown = this.#socket.read();
    if (Buffer.isBuffer(chunk)) this.#take(chunk);
  };

  readonly #onClosed = (): void => this.#finish({ kind: 'closed' });

  /** Of the stage that begins with nothing read. */
  #timeSilence(): void {
    const silenceMs = this.#stages[0]?.silenceMsMax?.();
    if (silenceMs === undefined) return;
    this.#maySilence = true;
    this.deadlineMs = Math.min(this.#wholeMs, this.#deadlines.in(silenceMs));
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#maySilence = false;
    this.deadlineMs = this.#wholeMs;
    let added = chunk;
    for (;;) {
      const stage = this.#stages[0];
      if (stage === undefined) break;
      const answer = stage.read(added);
      if (answer.kind === 'need_more') return;
      if (answer.kind === 'refused') return this.#finish(answer);
      this.#stages.shift();
      added = Buffer.concat(this.#chunks).subarray(answer.consumed);
      this.#chunks = [added];
      if (added.length === 0 && this.#stages.length > 0) return this.#timeSilence();
    }
    if (added.length > 0) this.#socket.unshift(added);
    this.#finish({ kind: 'done' });
  }

  #finish(outcome: FirstBytesOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.deadlineMs = never;
    this.#deadlines.delete(this);
    const socket = this.#socket;
    socket.off('readable', this.#onReadable);
    socket.off('end', this.#onClosed);
    socket.off('close', this.#onClosed);
    // A stream forgets its listener for 'readable' a tick later, and only then can it be read in another way.
    nextTick(() => this.#done(socket.destroyed ? { kind: 'closed' } : outcome));
  }
}
