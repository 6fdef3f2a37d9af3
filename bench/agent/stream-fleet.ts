/** Many clients of an agent: a connection and a stream each, which read what they get, answer it at most, and look at little of it. */

import { type Closable, systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { openUnixStream, type UnixStream } from './unix-stream.ts';

export interface FleetOptions {
  readonly socket: string;
  readonly size: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What each begins with; `isWhole` if there will be no other. */
  readonly request: Uint8Array;
  readonly isWhole: boolean;
  /** Whether this is what was waited for. */
  readonly isDelivery: (message: Buffer) => boolean;
  /** What a client answers to a message, if it does. */
  readonly answerTo?: (message: Buffer) => Uint8Array;
}

/** When each stream got what it was waiting for. */
export interface Delivery {
  /** Of the first byte that any of them got, and of the last that the last of them got, in milliseconds after `cause` was called. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** Of each. */
  readonly delaysMs: readonly number[];
}

export interface StreamFleet extends Closable {
  readonly setUpMs: number;
  newest(): Buffer;
  /** Resolves when every stream has had a delivery since `cause` was called. */
  pushed(cause: () => unknown): Promise<Delivery>;
}

export async function connectStreamFleet(p: FleetOptions): Promise<StreamFleet> {
  const { socket, size, path, headers = {} } = p;
  const streams: UnixStream[] = [];
  let newest: Buffer = Buffer.alloc(0);
  let onDelivery = (_at: number): void => undefined;
  let onFailure = (_error: Error): void => undefined;

  const delivered = (expected: number, cause: () => unknown): Promise<Delivery> =>
    new Promise((resolve, reject) => {
      const seen = new Set<number>();
      const delaysMs: number[] = [];
      const giveUp = systemClock.after(deliveryMsMax, () => {
        const reason = `${seen.size} of ${expected} streams were served within ${deliveryMsMax} ms`;
        reject(new BenchError('bench_answer', reason));
      });
      onFailure = (error) => {
        giveUp.cancel();
        reject(new BenchError('bench_answer', `a stream: ${error.message}`, { cause: error }));
      };
      const beganMs = performance.now();
      onDelivery = (at) => {
        if (seen.has(at)) return;
        seen.add(at);
        delaysMs.push(performance.now() - beganMs);
        if (seen.size < expected) return;
        giveUp.cancel();
        onDelivery = () => undefined;
        onFailure = () => undefined;
        resolve({ firstMs: delaysMs[0] ?? 0, lastMs: delaysMs.at(-1) ?? 0, delaysMs });
      };
      Promise.resolve(cause()).catch(reject);
    });

  const open = (at: number): void => {
    const stream = openUnixStream({
      socket,
      path,
      headers,
      onMessage(message, answered) {
        newest = message;
        if (p.isDelivery(message)) onDelivery(at);
        if (p.answerTo !== undefined) answered.send(p.answerTo(message));
      },
      onFailure: (error) => onFailure(error),
    });
    streams.push(stream);
    stream.send(p.request);
    if (p.isWhole) stream.finish();
  };
  const beganMs = performance.now();
  for (let from = 0; from < size; from += connectingMax) {
    const some = Math.min(connectingMax, size - from);
    await delivered(some, () => {
      for (let at = from; at < from + some; at += 1) open(at);
    });
  }
  return {
    setUpMs: performance.now() - beganMs,
    newest: () => newest,
    pushed: (cause) => delivered(size, cause),
    async close() {
      for (const stream of streams) stream.close();
    },
  };
}

// The listener's queue is finite.
const connectingMax = 200;
const deliveryMsMax = 60_000;
