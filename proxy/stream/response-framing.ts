/** How a response goes out to a client of HTTP/1, whatever protocol it came by. */

import type { ResponseHeadEdits } from '../protocol/http1/head-edits.ts';
import { type Framing, framingToward, noBody } from '../protocol/http1/message-framing.ts';
import type { RequestHead } from '../protocol/http1/request-head.ts';
import { http1FramingOf } from '../protocol/translation/response-to-http1.ts';
import type { ResponseHead } from './stream.ts';

export function responseFraming(head: ResponseHead, request: RequestHead): Framing {
  const { method, minorVersion } = request;
  if (head.protocol === 'http1') return framingToward(head.framing, minorVersion);
  return method === 'HEAD' ? noBody : framingToward(http1FramingOf(head), minorVersion);
}

/** What a response's head says of our connection to the client and of the body on it. */
export function responseEdits(
  request: RequestHead,
  framing: Framing,
  keepsAlive: boolean,
): ResponseHeadEdits {
  if (!keepsAlive) return { framing, connection: 'close' };
  // A client of HTTP/1.0 takes silence for close.
  return request.minorVersion === 0 ? { framing, connection: 'keep-alive' } : { framing };
}
