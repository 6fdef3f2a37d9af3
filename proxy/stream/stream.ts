/**
 * One request and its response, over any protocol: what a server's side and a client's side of it can do,
 * and what they tell. Whoever sits between them never sees how either is framed.
 */

import type { Buffer } from 'node:buffer';
import type { Connection } from '../net/connection.ts';
import type { LocalAnswer } from '../protocol/codec.ts';
import type { Fields } from '../protocol/fields.ts';
import type { HeadEdits } from '../protocol/http1/head-edits.ts';
import type { RequestHead as Http1RequestHead } from '../protocol/http1/request-head.ts';
import type { ResponseHead as Http1ResponseHead } from '../protocol/http1/response-head.ts';
import type { Http2RequestHead } from '../protocol/http2/request-head.ts';
import type { Http2ResponseHead } from '../protocol/http2/response-head.ts';
import type { ResetReason } from './reset-reason.ts';

/**
 * Heads stay what their codec made of them, so that one which goes out as it came in can be spliced; only
 * a side of the other protocol takes them apart.
 */
export type RequestHead = Http1RequestHead | Http2RequestHead;
export type ResponseHead = Http1ResponseHead | Http2ResponseHead;

/** The side that a client speaks to. */
export interface ServerStream {
  readonly peer: Connection['peer'];
  readonly remoteAddress: string;
  /** Both ends of the client's connection. */
  readonly endpoints: Connection['endpoints'];
  /** A 1xx head, where the client knows of such. */
  sendInterim(head: ResponseHead): void;
  /** The final head, framed for this client. False asks for a pause until `onResponseDrain`. */
  sendHead(head: ResponseHead): boolean;
  /** As `sendHead`. */
  sendBody(bytes: Buffer): boolean;
  /** The response is complete. Where requests come one after the other, the next begins inside this call. */
  endResponse(trailers: Fields | undefined): void;
  /** A whole answer of our own. */
  reply(answer: LocalAnswer): void;
  /** Ends without a complete response: the client must see that it is cut off, and by what, where its protocol has a word. */
  abort(reason: string, reset?: ResetReason): void;
  /** Stops giving out the body, for example because upstream takes no more. */
  pauseRequest(): void;
  resumeRequest(): void;
  /**
   * The response opens a tunnel. What follows the request comes as a body then, and its end may come
   * after the response's.
   */
  openTunnel(head: ResponseHead): boolean;
  /** The server's side of a tunnel has ended; the client may send on. */
  endTunnel(): void;
}

/**
 * The rest of one request, and of its tunnel if there is one: the bytes of a tunnel are a body that goes
 * on until the client ends its side. After `endResponse`, `reply` or an abort nothing more is called.
 */
export interface RequestHandler {
  start(): void;
  onRequestBody(bytes: Buffer): void;
  onRequestEnd(trailers: Fields | undefined): void;
  /** The body cannot be read on; the response may still be sent if it has not begun. */
  onRequestFailure(failure: RequestFailure): void;
  onClientAbort(cause: ClientAbort): void;
  /** There is room again after a `send` that answered false. */
  onResponseDrain(): void;
}

export interface RequestFailure {
  readonly status: number;
  readonly detail: string;
  /** What the client took too long over, if that is the failure. */
  readonly late?: 'head' | 'body' | 'tunnel';
}

/**
 * `gone`: the client has left, or wants no answer any more. `unread`: it does not take the one it is given. `silent`: it
 * is not there any more, and has not said so.
 */
export type ClientAbort = 'gone' | 'unread' | 'silent';

/** Whoever answers requests. */
export interface RequestListener {
  /** A request has begun. Who is returned is started at once and takes the rest of it. */
  onRequest(head: RequestHead, stream: ServerStream): RequestHandler;
  /** What came is no request, or came too slowly. The listener answers with its status. */
  onBadRequest(failure: RequestFailure, stream: ServerStream): void;
}

export interface ServerTimeouts {
  readonly headMs: number;
  readonly idleMs: number;
  /** How long nothing may go either way through a tunnel. */
  readonly tunnelIdleMs: number;
}

/** The side that speaks to a server. */
export interface ClientStream {
  readonly remoteAddress: string;
  /** Whether an exchange went over the connection before: its peer may then be gone without our knowing. */
  readonly isReused: boolean;
  start(request: OutgoingRequest, handler: ResponseHandler): void;
  /** False asks for a pause until `onRequestDrain`. */
  sendBody(bytes: Buffer): boolean;
  /** The request is complete; from now on the server's time runs. In a tunnel, the client sends nothing more. */
  endRequest(trailers: Fields | undefined): void;
  pauseResponse(): void;
  resumeResponse(): void;
  /** Gives the exchange up. */
  abort(reason: string): void;
}

export interface OutgoingRequest {
  readonly head: RequestHead;
  readonly edits: HeadEdits;
  /** `http` or `https`, as the client said or meant it. */
  readonly scheme: string;
}

/**
 * Whoever sent the request. After `onResponseEnd` or `onResponseFailure` nothing more is called. A head
 * that opens a tunnel is followed by a body that goes on until the server ends its side, and what is sent
 * from then on is the tunnel's.
 */
export interface ResponseHandler {
  /** A 1xx head; the final one is still to come. */
  onInterimHead(head: ResponseHead): void;
  onResponseHead(head: ResponseHead): void;
  onResponseBody(bytes: Buffer): void;
  onResponseEnd(trailers: Fields | undefined): void;
  onResponseFailure(failure: ResponseFailure): void;
  /** There is room again after a `sendBody` that answered false. */
  onRequestDrain(): void;
}

export interface ResponseFailure {
  /**
   * `unprocessed`: the server says that it has done nothing. `lost`: not one byte of a response came.
   * `bad`: what came is no response. `cut_off`: it began and broke off.
   */
  readonly code: 'unprocessed' | 'lost' | 'bad' | 'cut_off' | 'timeout';
  readonly detail: string;
  /** Where the server has ended this exchange alone, and said so: why. */
  readonly reset?: ResetReason | undefined;
}

export interface ClientTimeouts {
  readonly responseMs: number;
  readonly idleMs: number;
}

/** Whether from this head on there is no HTTP any more. */
export function opensTunnel(head: ResponseHead): boolean {
  return head.protocol === 'http1' && head.framing.kind === 'tunnel';
}

/** gRPC is told by its media type, whatever serialization follows it. */
export function isGrpc(head: RequestHead | ResponseHead): boolean {
  if (head.protocol !== 'http2') return false;
  const type = head.headers.get('content-type');
  return type !== undefined && /^application\/grpc(?:[+;]|$)/.test(type);
}

/** Whether a body may follow. HTTP/2 tells it by its flag, whatever the length says. */
export function hasBody(head: RequestHead): boolean {
  if (head.protocol === 'http2') return !head.isWhole;
  const { framing } = head;
  return framing.kind !== 'none' && !(framing.kind === 'length' && framing.length === 0);
}

export const slowBody: RequestFailure = Object.freeze({
  status: 408,
  detail: 'the body of the request came too slowly',
  late: 'body',
});

export const idleTunnel: RequestFailure = Object.freeze({
  status: 408,
  detail: 'nothing went through the tunnel',
  late: 'tunnel',
});
