/**
 * One request's life, from its decoded head to its line in the log. The numbers are those of "a
 * request's life" in ARCHITECTURE.md; the steps before 4 are NET/IO's and the codec's.
 */

import type { Buffer } from 'node:buffer';
import type { Clock } from '../../core/index.ts';
import type { AccessLog, AccessRecord } from '../access-log.ts';
import type { DialFailure } from '../net/dialer.ts';
import { encodeChunk, lastChunk } from '../protocol/http1/encode-chunk.ts';
import { encodeRequestHead, encodeResponseHead } from '../protocol/http1/encode-head.ts';
import type { HeaderBlock } from '../protocol/http1/header-block.ts';
import { framingToward } from '../protocol/http1/message-framing.ts';
import type { RequestHead } from '../protocol/http1/request-head.ts';
import type { ResponseHead } from '../protocol/http1/response-head.ts';
import type {
  ClientConnection,
  ResponseFailure,
  ResponseHandler,
} from '../stream/client-connection.ts';
import type { PingPongPool, PoolWaiter } from '../stream/pool-ping-pong.ts';
import type {
  RequestFailure,
  RequestHandler,
  ServerConnection,
} from '../stream/server-connection.ts';
import type { Cluster } from './cluster.ts';
import { type ForwardedFields, requestEdits, responseEdits } from './forwarded-fields.ts';
import { type Refusal, refusals, sendLocalReply } from './local-reply.ts';
import type { RequestIds } from './request-id.ts';
import { hasDotSegment, matchRoute, type Route } from './route.ts';
import { countStatus, type RequestStats } from './stats.ts';

/** What all requests of one listener share. */
export interface DownstreamDeps {
  readonly listener: string;
  readonly routes: readonly Route[];
  readonly stats: RequestStats;
  readonly accessLog: AccessLog;
  readonly requestIds: RequestIds;
  readonly clock: Clock;
}

export class Downstream implements RequestHandler, ResponseHandler, PoolWaiter, AccessRecord {
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  requestId: string | undefined;
  upstream: string | undefined;
  fault: string | undefined;
  readonly #head: RequestHead;
  readonly #stream: ServerConnection;
  readonly #fields: ForwardedFields;
  readonly #deps: DownstreamDeps;
  readonly #startedMs: number;
  #cluster: Cluster | undefined;
  #pool: PingPongPool | undefined;
  #upstream: ClientConnection | undefined;
  #attempts = 0;
  #isRequestPaused = false;
  #isRequestEnded = false;
  #hasRetried = false;
  #hasResponseBegun = false;
  #isResponseChunked = false;
  #keepsAlive = false;

  constructor(
    head: RequestHead,
    stream: ServerConnection,
    fields: ForwardedFields,
    deps: DownstreamDeps,
  ) {
    this.#head = head;
    this.#stream = stream;
    this.#fields = fields;
    this.#deps = deps;
    this.#startedMs = deps.clock.monotonicMs();
  }

  /** Steps 4 to 8: from a head to a pool that has a connection, or will have one. */
  start(): void {
    const head = this.#head;
    // 4. The codec has found the head right; what it asks for may still be nothing we carry.
    this.#deps.stats.requests += 1;
    if (head.method === 'CONNECT') return this.#refuse(refusals.connect);
    // RFC 9110 §7.8: an offer may be ignored, and every client that offers h2c can go on without it.
    const { upgrade } = head;
    if (upgrade !== undefined && upgrade.toLowerCase() !== 'h2c') {
      return this.#refuse(refusals.upgrade(upgrade));
    }
    // 5 to 7. Route. (Filters before and after routing will stand on either side of this line.)
    const { path } = head;
    if (hasDotSegment(path)) return this.#refuse(refusals.dotSegment);
    const route = matchRoute(this.#deps.routes, path);
    if (route === undefined) return this.#refuse(refusals.noRoute);
    // 8. Choose the endpoint whose turn it is, and ask its pool.
    this.#cluster = route.cluster;
    this.#acquire(route.cluster, false);
  }

  #acquire(cluster: Cluster, fresh: boolean): void {
    this.#attempts += 1;
    const pool = cluster.nextPool();
    this.#pool = pool;
    pool.acquire(this, fresh);
    if (this.#upstream !== undefined || this.#pool === undefined) return;
    // Nothing of the body is read before somebody is there to take it.
    this.#isRequestPaused = true;
    this.#stream.pauseRequest();
  }

  /** Step 9: send, and from then on pass bytes both ways. */
  onConnection(upstream: ClientConnection): void {
    const head = this.#head;
    this.#upstream = upstream;
    this.upstream = upstream.remoteAddress;
    const { edits, requestId } = requestEdits(head, this.#fields, this.#deps.requestIds);
    this.requestId = requestId;
    upstream.start(head.method, encodeRequestHead(head, edits), this);
    if (this.#isRequestEnded) upstream.endRequest();
    if (!this.#isRequestPaused) return;
    this.#isRequestPaused = false;
    this.#stream.resumeRequest();
  }

  onNoConnection(code: DialFailure | 'overflow', detail: string): void {
    const cluster = this.#cluster;
    this.#pool = undefined;
    if (cluster === undefined) return;
    this.fault = `${code}: ${detail}`;
    // Nothing has been sent, so another endpoint may be asked whatever the method.
    const isEndpointsFault = code !== 'overflow' && code !== 'tls_not_ready';
    if (isEndpointsFault && this.#attempts < cluster.attemptsMax) {
      this.#acquire(cluster, false);
      return;
    }
    this.#refuse(refusals.noConnection(cluster.name, code));
  }

  onRequestBody(bytes: Buffer): void {
    this.requestBytes += bytes.length;
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    const isChunked = this.#head.framing.kind === 'chunked';
    if (!upstream.send(isChunked ? encodeChunk(bytes) : bytes)) this.#stream.pauseRequest();
  }

  onRequestDrain(): void {
    this.#stream.resumeRequest();
  }

  onRequestEnd(trailers: HeaderBlock | undefined): void {
    this.#isRequestEnded = true;
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    if (this.#head.framing.kind === 'chunked') upstream.send(lastChunk(trailers));
    upstream.endRequest();
  }

  onInterimHead(head: ResponseHead): void {
    // RFC 9110 §15.2: a client of HTTP/1.0 does not know 1xx.
    if (this.#head.minorVersion === 1) this.#stream.send(encodeResponseHead(head));
  }

  onResponseHead(head: ResponseHead): void {
    this.#hasResponseBegun = true;
    this.status = head.status;
    const framing = framingToward(head.framing, this.#head.minorVersion);
    this.#isResponseChunked = framing.kind === 'chunked';
    // An answer before the end of the request is mostly a refusal, and the rest of the request is not read.
    this.#keepsAlive =
      this.#head.keepAlive &&
      framing.kind !== 'until_close' &&
      this.#isRequestEnded &&
      !this.#stream.isLast;
    const edits = responseEdits(this.#head, framing, this.#keepsAlive);
    this.#sendResponse(encodeResponseHead(head, edits));
  }

  onResponseBody(bytes: Buffer): void {
    this.responseBytes += bytes.length;
    this.#sendResponse(this.#isResponseChunked ? encodeChunk(bytes) : bytes);
  }

  onResponseDrain(): void {
    this.#upstream?.resumeResponse();
  }

  onResponseEnd(trailers: HeaderBlock | undefined): void {
    this.#upstream = undefined;
    if (this.#isResponseChunked) this.#stream.send(lastChunk(trailers));
    this.#finish();
    this.#stream.endResponse(this.#keepsAlive);
  }

  onResponseFailure(failure: ResponseFailure): void {
    const upstream = this.#upstream;
    const cluster = this.#cluster;
    this.#upstream = undefined;
    if (upstream === undefined || cluster === undefined) return;
    if (this.#mayRetry(failure, upstream)) {
      this.#hasRetried = true;
      this.#deps.stats.retries += 1;
      this.#acquire(cluster, true);
      return;
    }
    this.fault = `${failure.code}: ${failure.detail}`;
    if (!this.#hasResponseBegun)
      return this.#refuse(refusals.noResponse(cluster.name, failure.code));
    this.#deps.stats.responsesCutOff += 1;
    this.#finish();
    // The client must not take half a response for a whole one.
    this.#stream.abort('the response broke off');
  }

  onRequestFailure(failure: RequestFailure): void {
    this.#leaveUpstream('the request cannot be read on');
    this.fault = failure.detail;
    if (!this.#hasResponseBegun)
      return this.#refuse({ status: failure.status, text: failure.detail });
    this.#finish();
    this.#stream.abort(failure.detail);
  }

  onClientAbort(): void {
    this.#leaveUpstream('the client is gone');
    this.#deps.stats.clientAborts += 1;
    this.fault = 'the client is gone';
    this.#finish();
  }

  /**
   * RFC 9112 §9.3.1: a pooled connection may have been closed while our request was on its way. If not
   * a byte came back, the method promises that twice is once (RFC 9110 §9.2.2), and no body was given
   * away that we cannot give again, then the request is sent once more, on a new connection.
   */
  #mayRetry(failure: ResponseFailure, upstream: ClientConnection): boolean {
    return (
      failure.code === 'lost' &&
      upstream.isReused &&
      !this.#hasRetried &&
      this.#isRequestEnded &&
      this.requestBytes === 0 &&
      this.#head.framing.kind !== 'chunked' &&
      idempotentMethods.has(this.#head.method)
    );
  }

  #sendResponse(bytes: Buffer): void {
    if (!this.#stream.send(bytes)) this.#upstream?.pauseResponse();
  }

  #leaveUpstream(reason: string): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream === undefined) this.#pool?.cancel(this);
    else upstream.abort(reason);
    this.#pool = undefined;
  }

  #refuse(refusal: Refusal): void {
    this.#pool = undefined;
    this.fault ??= refusal.text;
    this.status = refusal.status;
    this.#deps.stats.localReplies += 1;
    this.#finish();
    sendLocalReply(this.#stream, this.#head, refusal);
  }

  /** Step 10: what there is to say about it. */
  #finish(): void {
    if (this.status !== 0) countStatus(this.#deps.stats, this.status);
    this.#deps.accessLog.write(this);
  }

  get listener(): string {
    return this.#deps.listener;
  }

  get method(): string {
    return this.#head.method;
  }

  get path(): string {
    return this.#head.path;
  }

  get peer(): string | undefined {
    return this.#stream.peer;
  }

  get durationMs(): number {
    return this.#deps.clock.monotonicMs() - this.#startedMs;
  }
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
