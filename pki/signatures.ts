/**
 * Where signatures are made and judged: in the calling thread, or in the thread pool of Node.js, so that
 * the rest of the program goes on meanwhile and a second core has work.
 *
 * The pool, not worker threads of our own: a key stays the `KeyObject` that it is and crosses to nobody,
 * there is no thread whose end would have to be survived, and a hand-over costs a tenth of a signature.
 */

import { type KeyObject, sign, verify } from 'node:crypto';
import { CodedError } from '../core/index.ts';
import {
  digestOf,
  fitsKey,
  type SignatureAlgorithm,
  signBytes,
  verifySignature,
} from './signature-algorithm.ts';

export interface Signatures {
  /** For ECDSA the DER form that X.509 carries. */
  sign(
    algorithm: SignatureAlgorithm,
    privateKey: KeyObject,
    bytes: Uint8Array,
  ): Promise<Uint8Array>;
  /** True if the key is of the type that `algorithm` signs with and the signature holds. */
  verify(
    algorithm: SignatureAlgorithm,
    publicKey: KeyObject,
    bytes: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean>;
}

/** As many wait as may wait; who comes again later is served. */
export class SignatureQueueError extends CodedError<'signatures_many'> {
  override readonly name = 'SignatureQueueError';
  override readonly kind = 'resource_exhausted';
}

/** Cheapest on one core: nothing is handed over. */
export const inlineSignatures: Signatures = {
  sign: async (algorithm, privateKey, bytes) => signBytes(algorithm, privateKey, bytes),
  verify: async (algorithm, publicKey, bytes, signature) =>
    verifySignature(algorithm, publicKey, bytes, signature),
};

/**
 * At most `workers` threads' worth of operations are with the pool at once, so that files, which need the
 * same threads, are not kept waiting. Rejects with {@link SignatureQueueError} when too many wait.
 */
export function pooledSignatures(workers: number, queueMax: number = queueMaxDefault): Signatures {
  const turns = new Turns(workers * jobsPerWorker, queueMax);
  return {
    sign: (algorithm, privateKey, bytes) =>
      turns.take((done) => sign(digestOf(algorithm), bytes, privateKey, done)),
    async verify(algorithm, publicKey, bytes, signature) {
      // Without this an RSA key would judge a signature that is called ECDSA.
      if (!fitsKey(algorithm, publicKey)) return false;
      return turns.take((done) => verify(digestOf(algorithm), bytes, publicKey, signature, done));
    },
  };
}

type Start<Result> = (done: (error: Error | null, result: Result) => void) => void;

/** First come, first served, so many at once. */
class Turns {
  readonly #runningMax: number;
  readonly #queueMax: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(runningMax: number, queueMax: number) {
    this.#runningMax = runningMax;
    this.#queueMax = queueMax;
  }

  take<Result>(start: Start<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const run = (): void => {
      this.#running += 1;
      try {
        start((error, result) => {
          if (error === null) resolve(result);
          else reject(error);
          this.#ended();
        });
      } catch (error) {
        // A key that cannot do this is told of before anything is handed over.
        reject(error instanceof Error ? error : new Error(String(error)));
        this.#ended();
      }
    };
    if (this.#running < this.#runningMax) run();
    else if (this.#waiting.length < this.#queueMax) this.#waiting.push(run);
    else reject(tooMany(this.#queueMax));
    return promise;
  }

  #ended(): void {
    this.#running -= 1;
    this.#waiting.shift()?.();
  }
}

function tooMany(queueMax: number): SignatureQueueError {
  return new SignatureQueueError('signatures_many', `${queueMax} signatures wait already`, {
    remedy: 'try again later',
    retryAfterMs,
  });
}

// A thread that ends one operation must find the next, though the main thread may be busy for a while.
const jobsPerWorker = 4;
// At a tenth of a millisecond each this many are worked off within half a second on one core.
const queueMaxDefault = 4096;
const retryAfterMs = 500;
