/** HTTP on one downstream connection: each request gets its {@link Downstream}, bad ones get an answer. */

import type { Clock } from '../../core/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { Connection } from '../net/connection.ts';
import type { Deadlines } from '../net/deadlines.ts';
import type { RefusalLog } from '../net/refusal-log.ts';
import type {
  Drainable,
  ExchangeProtocol,
  GivenUp,
  ProtocolFault,
  ServedPeer,
  ServerOwner,
} from '../stream/exchange-protocol.ts';
import { bridgeGrpcWeb, isGrpcWeb } from '../stream/grpc-web-stream.ts';
import type {
  RequestFailure,
  RequestHandler,
  RequestHead,
  RequestListener,
  ServerStream,
  ServerTimeouts,
} from '../stream/stream.ts';
import { Downstream, type DownstreamDeps } from './downstream.ts';
import { type ForwardedFields, forwardedFields } from './forwarded-fields.ts';
import { answerOf } from './refusals.ts';
import { matchRoute } from './route.ts';
import { countStatus } from './stats.ts';

export interface HttpDeps extends DownstreamDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly refusals: Pick<RefusalLog, 'write'>;
  readonly timeouts: ServerTimeouts;
  /** As in `tunnels`: what an extended CONNECT may ask for. */
  readonly upgrades: ReadonlySet<string>;
  /** Whether requests of gRPC-Web become gRPC. */
  readonly grpcWeb: boolean;
  /** Connections that are open, for draining. */
  readonly sessions: Set<Drainable>;
  /** Whether the drain has begun. */
  readonly isDraining: () => boolean;
}

export function serveRequests(
  protocol: ExchangeProtocol,
  connection: Connection,
  deps: HttpDeps,
): void {
  const session = new HttpSession(connection.peer, deps);
  const served = protocol.serve(connection, session, session, deps);
  deps.sessions.add(served);
  if (!deps.isDraining()) return;
  // It was accepted before the drain and has come through its handshake since. Its first request is on its way.
  deps.clock.after(lateMsMax, () => {
    if (deps.sessions.has(served)) served.drain();
  });
}

class HttpSession implements RequestListener, ServerOwner {
  readonly #fields: ForwardedFields;
  readonly #deps: HttpDeps;

  constructor(peer: SpiffeId | undefined, deps: HttpDeps) {
    this.#fields = forwardedFields(peer);
    this.#deps = deps;
  }

  onRequest(head: RequestHead, stream: ServerStream): RequestHandler {
    if (this.#mayBridge(head)) {
      const serve = (grpcHead: RequestHead, on: ServerStream): RequestHandler =>
        this.#serve(grpcHead, on);
      const bridged = bridgeGrpcWeb(head, stream, this.#fields.scheme, serve);
      if (bridged !== undefined) return bridged;
    }
    return this.#serve(head, stream);
  }

  #serve(head: RequestHead, stream: ServerStream): RequestHandler {
    return new Downstream(head, stream, this.#fields, this.#deps);
  }

  /** gRPC is HTTP/2's: a server of HTTP/1.1 that is sent gRPC-Web speaks it itself. */
  #mayBridge(head: RequestHead): boolean {
    const { grpcWeb, routes } = this.#deps;
    return (
      grpcWeb && isGrpcWeb(head) && matchRoute(routes, head.path)?.cluster.protocol !== 'http1'
    );
  }

  onBadRequest({ status, detail, late }: RequestFailure, stream: ServerStream): void {
    const { stats, accessLog, listener } = this.#deps;
    stats.requestsRefused += 1;
    if (late === 'head') stats.headTimeouts += 1;
    if (status === 414 || status === 431) stats.headsTooLarge += 1;
    stats.localReplies += 1;
    countStatus(stats, status);
    accessLog.write({
      listener,
      // What was sent is no request, so nothing of it is known and nothing of it is logged.
      method: '-',
      path: '-',
      status,
      requestBytes: 0,
      responseBytes: 0,
      durationMs: 0,
      peer: stream.peer,
      upstream: undefined,
      requestId: undefined,
      fault: detail,
    });
    stream.reply(answerOf({ status, text: detail }, undefined));
  }

  onConnectionClosed(connection: Drainable): void {
    this.#deps.sessions.delete(connection);
  }

  onGivenUp(why: GivenUp, connection: ServedPeer): void {
    const { stats, refusals } = this.#deps;
    const { counter, reason } = givenUp[why];
    stats[counter] += 1;
    // That a client keeps a connection and asks nothing is no fault of anybody.
    if (reason === undefined) return;
    refusals.write(counter, connection.peer ?? connection.remoteAddress, reason);
  }

  onProtocolError({ code, detail }: ProtocolFault, connection: ServedPeer): void {
    const { stats, refusals } = this.#deps;
    stats.protocolErrors += 1;
    const peer = connection.peer ?? connection.remoteAddress;
    refusals.write('protocolErrors', peer, detail, { code });
  }
}

const givenUp = {
  idle: { counter: 'idleTimeouts', reason: undefined },
  unread: { counter: 'readTimeouts', reason: 'it does not read what it was answered' },
  silent: { counter: 'peersLost', reason: 'it does not answer a PING' },
  head: { counter: 'headTimeouts', reason: 'the head of a request came too slowly' },
} as const;

// A round trip and the sending of a head; then an idle connection would only hold the drain up.
const lateMsMax = 500;
