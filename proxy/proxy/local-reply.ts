/** What the proxy answers itself: one line of text that says what went wrong and on which side. */

import type { DialFailure } from '../net/dialer.ts';
import { encodeLocalReply } from '../protocol/http1/local-reply.ts';
import type { RequestHead } from '../protocol/http1/request-head.ts';
import type { ResponseFailure } from '../stream/client-connection.ts';
import type { ServerConnection } from '../stream/server-connection.ts';

export interface Refusal {
  readonly status: number;
  readonly text: string;
}

/** The texts name clusters but no addresses: whoever may call need not know where things stand. */
export const refusals = {
  connect: { status: 501, text: 'CONNECT is not supported by this proxy' },
  upgrade: (protocol: string): Refusal => ({
    status: 501,
    text: `upgrading to ${protocol} is not supported by this proxy`,
  }),
  dotSegment: { status: 400, text: 'the path has a dot segment' },
  noRoute: { status: 404, text: 'no route matches this path' },
  noConnection: (cluster: string, code: DialFailure | 'overflow'): Refusal => ({
    status: 503,
    text: `no connection to cluster ${cluster}: ${connectionFaults[code]}`,
  }),
  noResponse: (cluster: string, code: ResponseFailure['code']): Refusal => ({
    status: code === 'timeout' ? 504 : 502,
    text: `no response from cluster ${cluster}: ${responseFaults[code]}`,
  }),
  slowHead: { status: 408, text: 'the head of the request came too slowly' },
} as const;

/** Answers and ends the exchange; the connection is kept where nothing of the request is left unread. */
export function sendLocalReply(
  stream: ServerConnection,
  head: RequestHead | undefined,
  refusal: Refusal,
): void {
  const keepsAlive = head?.keepAlive === true && stream.isRequestRead && !stream.isLast;
  stream.send(
    encodeLocalReply({
      status: refusal.status,
      body: `${refusal.text}\n`,
      headers: [['Content-Type', 'text/plain; charset=utf-8']],
      close: !keepsAlive,
      keepAlive: keepsAlive && head.minorVersion === 0,
      omitBody: head?.method === 'HEAD',
    }),
  );
  stream.endResponse(keepsAlive);
}

const connectionFaults: Readonly<Record<DialFailure | 'overflow', string>> = {
  connect: 'the endpoint does not accept connections',
  timeout: 'the endpoint did not accept in time',
  tls: 'the TLS handshake failed',
  tls_not_ready: 'this proxy has no valid certificate yet',
  peer_refused: 'the endpoint is not who it should be',
  overflow: 'too many requests wait already',
};

const responseFaults: Readonly<Record<ResponseFailure['code'], string>> = {
  lost: 'the connection was closed before a response began',
  cut_off: 'the connection was closed in the middle of the response',
  bad: 'what came is not a valid response',
  timeout: 'none came in time',
};
