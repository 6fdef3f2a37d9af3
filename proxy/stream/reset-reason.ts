/** Why one side has reset an exchange, in words that no protocol owns, and what HTTP/2 says for them. */

import { errorCode, type ErrorCode } from '../protocol/http2/error-code.ts';

/**
 * What the peer says of the exchange. `cancelled`: it wants no more of it. `refused`: it has done nothing about it.
 * `overloaded`: it is asked too much. `insecure`: it wants a connection that is more secure. `failed`: all the rest.
 */
export type ResetReason = 'cancelled' | 'refused' | 'overloaded' | 'insecure' | 'failed';

/** A peer may send any number. */
export function resetReasonOf(code: number): ResetReason {
  return reasons[code] ?? 'failed';
}

/**
 * What the client is told of a response that had begun. Only what is as true for its own hop as for the one behind us is
 * passed on: that nothing was done is not, once something of it has come, and how the server's connection is made is no
 * matter of the client's.
 */
export function resetCodeOf(reason: ResetReason | undefined): ErrorCode {
  if (reason === 'cancelled') return errorCode.cancel;
  return reason === 'overloaded' ? errorCode.enhanceYourCalm : errorCode.internalError;
}

const reasons: Readonly<Record<number, ResetReason>> = {
  [errorCode.cancel]: 'cancelled',
  [errorCode.refusedStream]: 'refused',
  [errorCode.enhanceYourCalm]: 'overloaded',
  [errorCode.inadequateSecurity]: 'insecure',
};
