/** Many sidecars: a connection and a stream each, which acknowledge what they get and look at nothing else of it. */

import { DiscoveryRequest, SecretDiscoveryServiceService, secretTypeUrl } from '../../api/index.ts';
import { type Closable, systemClock } from '../../core/index.ts';
import { fieldsOf, openUnixStream, type UnixStream } from '../agent/unix-stream.ts';
import { BenchError } from '../bench-error.ts';

/** When each stream got what it was waiting for. */
export interface Delivery {
  /** Of the first byte that any of them got, and of the last that the last of them got, in milliseconds after `cause` was called. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** Of each. */
  readonly delaysMs: readonly number[];
}

export interface SdsFleet extends Closable {
  readonly setUpMs: number;
  newest(): Buffer;
  /** Resolves when every stream has had a message since `cause` was called. */
  pushed(cause: () => unknown): Promise<Delivery>;
}

export async function connectSdsFleet(socket: string, size: number): Promise<SdsFleet> {
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
    streams.push(
      openUnixStream({
        socket,
        path: SecretDiscoveryServiceService.streamSecrets.path,
        onMessage(message, stream) {
          newest = message;
          // An answer that is still empty is one to wait with.
          if (fieldsOf(message, resourcesField).length > 0) onDelivery(at);
          stream.send(acknowledgementOf(message));
        },
        onFailure: (error) => onFailure(error),
      }),
    );
    streams.at(-1)?.send(request);
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

function requestOf(versionInfo: string, responseNonce: string): Uint8Array {
  return DiscoveryRequest.encode({
    versionInfo,
    responseNonce,
    node: undefined,
    resourceNames: ['ROOTCA'],
    typeUrl: secretTypeUrl,
    errorDetail: undefined,
  }).finish();
}

function acknowledgementOf(message: Buffer): Uint8Array {
  const text = (field: number): string =>
    Buffer.from(fieldsOf(message, field)[0] ?? []).toString('utf8');
  return requestOf(text(versionField), text(nonceField));
}

const request = requestOf('', '');
const versionField = 1;
const resourcesField = 2;
const nonceField = 5;
// The listener's queue is finite.
const connectingMax = 200;
const deliveryMsMax = 60_000;
