/**
 * One request's life, from its decoded head to its line in the log. The numbers are those of "a
 * request's life" in ARCHITECTURE.md; the steps before 4 are NET/IO's and the codec's.
 */

import type { Buffer } from 'node:buffer';
import type { Clock } from '../../core/index.ts';
import type { AccessLog, AccessRecord } from '../access-log.ts';
import type { Deadlines } from '../net/deadlines.ts';
import type { Fields } from '../protocol/fields.ts';
import type { NoConnection, Pool, PoolWaiter } from '../stream/pool.ts';
import {
  type ClientAbort,
  type ClientStream,
  isGrpc,
  opensTunnel,
  type RequestFailure,
  type RequestHandler,
  type RequestHead,
  type ResponseFailure,
  type ResponseHandler,
  type ResponseHead,
  type ServerStream,
} from '../stream/stream.ts';
import type { Cluster } from './cluster.ts';
import { type ForwardedFields, requestEdits } from './forwarded-fields.ts';
import { grpcTimeoutMs, grpcTrailers } from './grpc.ts';
import { abortFaults, answerOf, type Refusal, refusals } from './refusals.ts';
import { RequestClock, type RequestDeadline, type RouteTimeouts } from './request-clock.ts';
import type { RequestIds } from './request-id.ts';
import { mayTryAgain } from './retry-rule.ts';
import { hasDotSegment, matchRoute, type Route } from './route.ts';
import { countStatus, type RelayStats, type RequestStats } from './stats.ts';
import { offeredUpgrade, type TunnelPolicy } from './tunnel-policy.ts';

/** What all requests of one listener share. */
export interface DownstreamDeps {
  readonly listener: string;
  readonly routes: readonly Route[];
  readonly tunnels: TunnelPolicy;
  readonly stats: RequestStats & RelayStats;
  readonly accessLog: AccessLog;
  readonly requestIds: RequestIds;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

export class Downstream implements RequestHandler, ResponseHandler, PoolWaiter, AccessRecord {
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  requestId: string | undefined;
  upstream: string | undefined;
  fault: string | undefined;
  readonly #head: RequestHead;
  readonly #stream: ServerStream;
  readonly #fields: ForwardedFields;
  readonly #deps: DownstreamDeps;
  readonly #startedMs: number;
  /** The protocols that the server is offered. */
  #offer: string | undefined;
  #cluster: Cluster | undefined;
  #pool: Pick<Pool, 'acquire' | 'cancel'> | undefined;
  /** The tunnel begins here: its cluster is dialled, and asked nothing. */
  #dials = false;
  #upstream: ClientStream | undefined;
  #attempts = 0;
  #timeouts: RouteTimeouts | undefined;
  #clock: RequestClock | undefined;
  #isRequestPaused = false;
  #isRequestEnded = false;
  #hasRetried = false;
  #hasResponseBegun = false;
  /** The response is one of gRPC, which tells at its end how the call went. */
  #isGrpcResponse = false;
  #isTunnel = false;
  #isResponseEnded = false;

  constructor(
    head: RequestHead,
    stream: ServerStream,
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
    const { stats, tunnels } = this.#deps;
    stats.requests += 1;
    if (head.method === 'CONNECT') return this.#connect(head);
    // A call that its client has given up is not worth an answer, nor the server's work.
    if (isGrpc(head)) this.#startClock('client', grpcTimeoutMs(head.headers));
    this.#offer = offeredUpgrade(head, tunnels);
    // 5 to 7. Route. (Filters before and after routing will stand on either side of this line.)
    const { path } = head;
    if (hasDotSegment(path)) return this.#refuse(refusals.dotSegment);
    const route = matchRoute(this.#deps.routes, path);
    if (route === undefined) return this.#refuse(refusals.noRoute);
    // 8. Choose the endpoint whose turn it is, and ask its pool.
    this.#cluster = route.cluster;
    this.#timeouts = route.timeouts;
    this.#acquire(route.cluster, false);
  }

  /** CONNECT has no path, so its authority alone says where it goes (RFC 9110 §9.3.6). */
  #connect(head: RequestHead): void {
    const { connects } = this.#deps.tunnels;
    const authority = head.protocol === 'http2' ? head.authority : head.target;
    const to = connects.get(authority.toLowerCase());
    if (to === undefined) {
      return this.#refuse(connects.size === 0 ? refusals.connect : refusals.connectElsewhere);
    }
    // Sent on, it is HTTP/1.1's.
    if (head.protocol === 'http2' && !to.dials) return this.#refuse(refusals.connect);
    this.#cluster = to.cluster;
    this.#dials = to.dials;
    this.#acquire(to.cluster, false);
  }

  #startClock(deadline: RequestDeadline, delayMs: number | undefined): void {
    if (delayMs === undefined) return;
    this.#clock ??= new RequestClock(this.#deps.deadlines, (passed) => this.#onPassed(passed));
    this.#clock.start(deadline, delayMs);
  }

  #onPassed(deadline: RequestDeadline): void {
    const { stats } = this.#deps;
    const upstream = this.#upstream;
    const cluster = this.#cluster;
    stats[deadlineCounters[deadline]] += 1;
    this.#leaveUpstream('the deadline has passed');
    if (deadline === 'try' && upstream !== undefined && cluster !== undefined) {
      if (this.#mayRetry('try', upstream)) return this.#retry(cluster);
    }
    if (this.#hasResponseBegun) stats.responsesCutOff += 1;
    const refusal = refusals.deadline[deadline];
    this.fault = refusal.text;
    this.#breakOff(refusal);
  }

  #acquire(cluster: Cluster, fresh: boolean): void {
    this.#attempts += 1;
    const pool = this.#dials ? cluster.tunnelFor(this.#stream.endpoints) : cluster.nextPool();
    this.#pool = pool;
    pool.acquire(this, fresh);
    if (this.#upstream !== undefined || this.#pool === undefined) return;
    // Nothing of the body is read before somebody is there to take it.
    this.#isRequestPaused = true;
    this.#stream.pauseRequest();
  }

  /** Step 9: send, and from then on pass bytes both ways. */
  onConnection(upstream: ClientStream): void {
    const head = this.#head;
    this.#upstream = upstream;
    this.upstream = upstream.remoteAddress;
    const { edits, requestId } = requestEdits(head, this.#fields, this.#deps.requestIds);
    this.requestId = requestId;
    const offer = this.#offer;
    const offering = offer === undefined ? edits : { ...edits, upgrade: offer };
    upstream.start({ head, edits: offering, scheme: this.#fields.scheme }, this);
    if (this.#isRequestEnded) {
      upstream.endRequest(undefined);
      this.#startClock('try', this.#timeouts?.tryMs);
    }
    if (!this.#isRequestPaused) return;
    this.#isRequestPaused = false;
    this.#stream.resumeRequest();
  }

  onNoConnection(code: NoConnection, detail: string): void {
    const cluster = this.#cluster;
    this.#pool = undefined;
    if (cluster === undefined) return;
    this.fault = `${code}: ${detail}`;
    // Nothing has been sent, so another endpoint may be asked whatever the method.
    if (!isOurs.has(code) && this.#attempts < cluster.attemptsMax) {
      this.#acquire(cluster, false);
      return;
    }
    this.#refuse(refusals.noConnection(cluster.name, code));
  }

  onRequestBody(bytes: Buffer): void {
    this.requestBytes += bytes.length;
    if (this.#isTunnel) this.#deps.stats.bytesUpstream += bytes.length;
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    if (!upstream.sendBody(bytes)) this.#stream.pauseRequest();
  }

  onRequestDrain(): void {
    this.#stream.resumeRequest();
  }

  onRequestEnd(trailers: Fields | undefined): void {
    this.#isRequestEnded = true;
    const upstream = this.#upstream;
    const timeouts = this.#isTunnel ? undefined : this.#timeouts;
    this.#startClock('request', timeouts?.requestMs);
    if (upstream === undefined) return;
    upstream.endRequest(trailers);
    if (!this.#hasResponseBegun) this.#startClock('try', timeouts?.tryMs);
    if (this.#isResponseEnded) this.#endTunnel();
  }

  onInterimHead(head: ResponseHead): void {
    this.#stream.sendInterim(head);
  }

  onResponseHead(head: ResponseHead): void {
    this.#hasResponseBegun = true;
    this.#clock?.stopTry();
    this.status = head.status;
    this.#isGrpcResponse = isGrpc(this.#head) && isGrpc(head);
    if (opensTunnel(head)) return this.#openTunnel(head);
    if (!this.#stream.sendHead(head)) this.#upstream?.pauseResponse();
  }

  /** RFC 9110 §7.8 and §9.3.6: from here on bytes are passed and not looked at, each direction to its own end. */
  #openTunnel(head: ResponseHead): void {
    const { stats } = this.#deps;
    stats.tunnelsOpened += 1;
    stats.tunnelsActive += 1;
    // How long a tunnel lasts is for those who talk in it.
    this.#clock?.stop();
    this.#isTunnel = true;
    this.#isRequestEnded = false;
    if (!this.#stream.openTunnel(head)) this.#upstream?.pauseResponse();
  }

  #endTunnel(): void {
    this.#upstream = undefined;
    this.#finish();
    this.#stream.endResponse(undefined);
  }

  onResponseBody(bytes: Buffer): void {
    this.responseBytes += bytes.length;
    if (this.#isTunnel) this.#deps.stats.bytesDownstream += bytes.length;
    if (!this.#stream.sendBody(bytes)) this.#upstream?.pauseResponse();
  }

  onResponseDrain(): void {
    this.#upstream?.resumeResponse();
  }

  onResponseEnd(trailers: Fields | undefined): void {
    if (this.#isTunnel) {
      this.#isResponseEnded = true;
      this.#stream.endTunnel();
      if (this.#isRequestEnded) this.#endTunnel();
      return;
    }
    this.#upstream = undefined;
    this.#finish();
    this.#stream.endResponse(trailers);
  }

  onResponseFailure(failure: ResponseFailure): void {
    const upstream = this.#upstream;
    const cluster = this.#cluster;
    this.#upstream = undefined;
    if (upstream === undefined || cluster === undefined) return;
    this.#clock?.stopTry();
    // A server that has ended this exchange alone is there, and has seen it.
    const isTold = failure.reset !== undefined && failure.code !== 'unprocessed';
    if (!isTold && this.#mayRetry(failure.code, upstream)) return this.#retry(cluster);
    this.fault = `${failure.code}: ${failure.detail}`;
    if (failure.code === 'timeout') this.#deps.stats.responseTimeouts += 1;
    if (this.#hasResponseBegun) this.#deps.stats.responsesCutOff += 1;
    this.#breakOff(refusals.noResponse(cluster.name, failure));
  }

  onRequestFailure(failure: RequestFailure): void {
    const { stats } = this.#deps;
    this.#leaveUpstream('the request cannot be read on');
    if (failure.late === 'body') stats.bodyTimeouts += 1;
    if (failure.late === 'tunnel') stats.tunnelTimeouts += 1;
    this.fault = failure.detail;
    this.#breakOff({ status: failure.status, text: failure.detail });
  }

  /** The client must not take half a response for a whole one. */
  #breakOff(refusal: Refusal): void {
    if (!this.#hasResponseBegun) return this.#refuse(refusal);
    this.#finish();
    // gRPC has a place for it behind what was sent.
    if (this.#isGrpcResponse) this.#stream.endResponse(grpcTrailers(refusal));
    else this.#stream.abort(refusal.text, refusal.reset);
  }

  onClientAbort(cause: ClientAbort): void {
    const { stats } = this.#deps;
    this.#leaveUpstream('the client is gone');
    stats.clientAborts += 1;
    if (cause === 'unread') stats.readTimeouts += 1;
    this.fault = abortFaults[cause];
    this.#finish();
  }

  /** Once, and never after a byte of the body was given away that we cannot give again. */
  #mayRetry(why: ResponseFailure['code'] | 'try', { isReused }: ClientStream): boolean {
    if (this.#hasRetried || this.#hasResponseBegun || this.requestBytes > 0) return false;
    const isRequestEnded = this.#isRequestEnded;
    return mayTryAgain({ why, head: this.#head, isRequestEnded, isReused });
  }

  #retry(cluster: Cluster): void {
    this.#hasRetried = true;
    this.#deps.stats.retries += 1;
    this.#acquire(cluster, true);
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
    this.#stream.reply(answerOf(refusal, this.#head));
  }

  /** Step 10: what there is to say about it. */
  #finish(): void {
    this.#clock?.stop();
    if (this.#isTunnel) this.#deps.stats.tunnelsActive -= 1;
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
    const head = this.#head;
    return head.method === 'CONNECT' ? (head.host ?? '') : head.path;
  }

  get peer(): string | undefined {
    return this.#stream.peer;
  }

  get durationMs(): number {
    return this.#deps.clock.monotonicMs() - this.#startedMs;
  }
}

const deadlineCounters = {
  client: 'grpcTimeouts',
  request: 'requestTimeouts',
  try: 'tryTimeouts',
} as const satisfies Record<RequestDeadline, keyof RequestStats>;

// Faults of no endpoint, so that another one would not do better.
const isOurs: ReadonlySet<NoConnection> = new Set(['overflow', 'late', 'closed', 'tls_not_ready']);
