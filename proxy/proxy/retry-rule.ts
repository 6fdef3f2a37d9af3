/** When a request may be sent a second time without anybody's asking for it. */

import { hasBody, type RequestHead, type ResponseFailure } from '../stream/stream.ts';

/** What became of a try of which no response has begun. */
export interface FailedTry {
  readonly why: ResponseFailure['code'] | 'try';
  readonly head: RequestHead;
  readonly isRequestEnded: boolean;
  /** Whether the connection had carried an exchange before. */
  readonly isReused: boolean;
}

/**
 * Never after a byte of the body was given away that we cannot give again, which whoever asks has seen to. What the
 * server says it has not looked at may be sent again whatever it is (RFC 9113 §8.7). Where the method promises that
 * twice is once (RFC 9110 §9.2.2), so may what a pooled connection took along that was closed while our request was
 * on its way (RFC 9112 §9.3.1), if not a byte came back, and a try that took too long.
 */
export function mayTryAgain({ why, head, isRequestEnded, isReused }: FailedTry): boolean {
  if (why === 'unprocessed') return true;
  if (why !== 'try' && !(why === 'lost' && isReused)) return false;
  return isRequestEnded && isEmptied(head) && idempotentMethods.has(head.method);
}

/** Nothing of its body is gone, though it may have had one of chunks that were none. */
function isEmptied(head: RequestHead): boolean {
  return head.protocol === 'http2' || head.framing.kind !== 'chunked' || !hasBody(head);
}

// RFC 9110 §9.2.2.
const idempotentMethods: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
]);
