/** What is refused before it is a request: bytes that are no HTTP, heads that are too big, peers that are too slow. */

import type { Socket } from 'node:net';
import type { Problem } from '../../api/index.ts';
import { type Logger, systemErrorCode } from '../../core/index.ts';

/** Answers with a problem document where the peer still listens, and ends the connection. */
export function answerUnreadable(error: Error, socket: Socket, log: Logger): void {
  const code = systemErrorCode(error) ?? '';
  log.debug('an admin request could not be read', { reason: error.message, code });
  const { status, phrase, title } = refusals.get(code) ?? notHttp;
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem: Problem = { code: 'request_invalid', kind: 'invalid_argument', title, status };
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    // A peer that was too slow to write may never read.
    () => socket.destroy(),
  );
}

interface Refusal {
  readonly status: number;
  readonly phrase: string;
  readonly title: string;
}

const notHttp: Refusal = {
  status: 400,
  phrase: 'Bad Request',
  title: 'the request is not HTTP/1.1',
};

const refusals: ReadonlyMap<string, Refusal> = new Map([
  [
    'HPE_HEADER_OVERFLOW',
    {
      status: 431,
      phrase: 'Request Header Fields Too Large',
      title: 'the head of the request is over 16 KiB',
    },
  ],
  [
    'ERR_HTTP_REQUEST_TIMEOUT',
    { status: 408, phrase: 'Request Timeout', title: 'the request did not arrive in time' },
  ],
]);
