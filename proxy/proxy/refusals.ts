/** What the proxy answers itself: one line of text that says what went wrong and on which side. */

import type { LocalAnswer } from '../protocol/codec.ts';
import type { NoConnection } from '../stream/pool.ts';
import type { ResetReason } from '../stream/reset-reason.ts';
import type { ClientAbort, RequestHead, ResponseFailure } from '../stream/stream.ts';
import { isGrpc } from '../stream/stream.ts';
import { grpcAnswer } from './grpc.ts';

export interface Refusal {
  readonly status: number;
  readonly text: string;
  /** Where the server has ended the exchange itself: why. */
  readonly reset?: ResetReason | undefined;
}

/** The texts name clusters but no addresses: whoever may call need not know where things stand. */
export const refusals = {
  connect: { status: 501, text: 'CONNECT is not supported on this listener' },
  connectElsewhere: { status: 403, text: 'CONNECT to this authority is not allowed here' },
  dotSegment: { status: 400, text: 'the path has a dot segment' },
  noRoute: { status: 404, text: 'no route matches this path' },
  deadline: {
    client: { status: 504, text: 'the time that the client allows is over' },
    request: { status: 504, text: 'the time that the route allows is over' },
    try: { status: 504, text: 'the time that the route allows a try is over' },
  },
  noConnection: (cluster: string, code: NoConnection): Refusal => ({
    status: 503,
    text: `no connection to cluster ${cluster}: ${connectionFaults[code]}`,
  }),
  noResponse: (
    cluster: string,
    { code, reset }: Pick<ResponseFailure, 'code' | 'reset'>,
  ): Refusal => ({
    status: code === 'timeout' ? 504 : code === 'unprocessed' ? 503 : 502,
    text: `no response from cluster ${cluster}: ${reset === undefined ? responseFaults[code] : resetFaults[reset]}`,
    reset,
  }),
} as const;

/** The answer in the words of whoever asked. */
export function answerOf(refusal: Refusal, head: RequestHead | undefined): LocalAnswer {
  if (head !== undefined && isGrpc(head)) return grpcAnswer(refusal);
  return {
    status: refusal.status,
    fields: [['Content-Type', 'text/plain; charset=utf-8']],
    body: `${refusal.text}\n`,
  };
}

/** What the access log says of a client that went before its answer was whole. */
export const abortFaults: Readonly<Record<ClientAbort, string>> = {
  gone: 'the client is gone',
  unread: 'the client does not read the response',
  silent: 'the client does not answer a PING',
};

const connectionFaults: Readonly<Record<NoConnection, string>> = {
  connect: 'the endpoint does not accept connections',
  timeout: 'the endpoint did not accept in time',
  tls: 'the TLS handshake failed',
  tls_not_ready: 'this proxy has no valid certificate yet',
  peer_refused: 'the endpoint is not who it should be',
  overflow: 'too many requests wait already',
  late: 'none was free in time',
  closed: 'this proxy is closing',
};

const resetFaults: Readonly<Record<ResetReason, string>> = {
  cancelled: 'the server has given the request up',
  refused: 'the server takes no more requests now',
  overloaded: 'the server says that it is asked too much',
  insecure: 'the server wants a connection that is more secure',
  failed: 'the server has failed',
};

const responseFaults: Readonly<Record<ResponseFailure['code'], string>> = {
  unprocessed: 'the server takes no more requests now',
  lost: 'the connection was closed before a response began',
  cut_off: 'the connection was closed in the middle of the response',
  bad: 'what came is not a valid response',
  timeout: 'none came in time',
};
