/**
 * Nonces that the CA need not remember: a time and some chance under a MAC of a key that only this
 * process has. One is good for a minute. It may be used twice in that minute, which is harmless: what is
 * signed with it also names the key that the certificate will be for.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Clock, concatBytes, type Random, utf8Bytes } from '../../core/index.ts';

export interface ChallengeNonces {
  create(): Uint8Array;
  judge(nonce: Uint8Array): 'good' | 'expired' | 'not_ours';
}

export function challengeNonces(deps: {
  readonly clock: Clock;
  readonly random: Random;
  /** What the nonces are for: one attestor's are nothing to another. */
  readonly purpose: string;
}): ChallengeNonces {
  const key = deps.random.bytes(keyBytes);
  const macOf = (body: Uint8Array): Uint8Array =>
    createHmac('sha256', key)
      .update(utf8Bytes(`${deps.purpose}\0`))
      .update(body)
      .digest();
  return {
    create() {
      const body = concatBytes(timeBytes(deps.clock.wallMs()), deps.random.bytes(chanceBytes));
      return concatBytes(body, macOf(body));
    },
    judge(nonce) {
      if (nonce.length !== bodyBytes + macBytes) return 'not_ours';
      const body = nonce.subarray(0, bodyBytes);
      if (!timingSafeEqual(macOf(body), nonce.subarray(bodyBytes))) return 'not_ours';
      const madeMs = Number(new DataView(body.buffer, body.byteOffset).getBigUint64(0));
      const ageMs = deps.clock.wallMs() - madeMs;
      // From the future: the clock was set back, and how old it is cannot be known.
      return ageMs >= 0 && ageMs < lifeMs ? 'good' : 'expired';
    },
  };
}

function timeBytes(ms: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.floor(ms)));
  return bytes;
}

// Long enough for a slow hardware key to sign, too short for a nonce to be kept.
const lifeMs = 60_000;
const keyBytes = 32;
const chanceBytes = 16;
const bodyBytes = 8 + chanceBytes;
const macBytes = 32;
