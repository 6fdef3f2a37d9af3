/** HTTP/1.1 on one downstream connection: each request gets its {@link Downstream}, bad ones get an answer. */

import type { Connection } from '../net/connection.ts';
import type { Http1ErrorEvent } from '../protocol/http1/http1-event.ts';
import type { RequestHead } from '../protocol/http1/request-head.ts';
import {
  type RequestHandler,
  type RequestListener,
  ServerConnection,
  type ServerTimeouts,
} from '../stream/server-connection.ts';
import { Downstream, type DownstreamDeps } from './downstream.ts';
import { type ForwardedFields, forwardedFields } from './forwarded-fields.ts';
import { type Refusal, refusals, sendLocalReply } from './local-reply.ts';
import { countStatus } from './stats.ts';

export interface Http1Deps extends DownstreamDeps {
  readonly timeouts: ServerTimeouts;
  /** Sessions that are open, for draining. */
  readonly sessions: Set<ServerConnection>;
}

export function serveHttp1(connection: Connection, deps: Http1Deps): void {
  const session = new Http1Session(forwardedFields(connection.peer), deps);
  deps.sessions.add(new ServerConnection(connection, session, deps.timeouts));
}

class Http1Session implements RequestListener {
  readonly #fields: ForwardedFields;
  readonly #deps: Http1Deps;

  constructor(fields: ForwardedFields, deps: Http1Deps) {
    this.#fields = fields;
    this.#deps = deps;
  }

  onRequest(head: RequestHead, stream: ServerConnection): RequestHandler {
    return new Downstream(head, stream, this.#fields, this.#deps);
  }

  onBadRequest(error: Http1ErrorEvent, stream: ServerConnection): void {
    this.#refuse(stream, { status: error.status, text: error.detail });
  }

  onSlowHead(stream: ServerConnection): void {
    this.#refuse(stream, refusals.slowHead);
  }

  onConnectionClosed(stream: ServerConnection): void {
    this.#deps.sessions.delete(stream);
  }

  #refuse(stream: ServerConnection, refusal: Refusal): void {
    const { stats, accessLog, listener } = this.#deps;
    stats.requestsRefused += 1;
    stats.localReplies += 1;
    countStatus(stats, refusal.status);
    accessLog.write({
      listener,
      // What was sent is no request, so nothing of it is known and nothing of it is logged.
      method: '-',
      path: '-',
      status: refusal.status,
      requestBytes: 0,
      responseBytes: 0,
      durationMs: 0,
      peer: stream.peer,
      upstream: undefined,
      requestId: undefined,
      fault: refusal.text,
    });
    sendLocalReply(stream, undefined, refusal);
  }
}
