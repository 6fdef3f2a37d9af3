/**
 * A client of gRPC-Web as a client of gRPC: what stands behind sees a call whose response ends in
 * trailers, the client a body whose last frame they are. Nothing is kept back but a broken group of base64.
 */

import { Buffer } from 'node:buffer';
import type { Connection } from '../net/connection.ts';
import type { LocalAnswer } from '../protocol/codec.ts';
import type { Fields } from '../protocol/fields.ts';
import { Base64Decoder } from '../protocol/grpc-web/base64-decoder.ts';
import { grpcRequestHead, grpcWebResponse, isStatusField } from '../protocol/grpc-web/heads.ts';
import { grpcWebCall, type GrpcWebCall, grpcWebTypeOf } from '../protocol/grpc-web/media-type.ts';
import { trailerFrame } from '../protocol/grpc-web/trailer-frame.ts';
import type { ResetReason } from './reset-reason.ts';
import {
  type ClientAbort,
  hasBody,
  type RequestFailure,
  type RequestHandler,
  type RequestHead,
  type ResponseHead,
  type ServerStream,
} from './stream.ts';

/** Whether a request is a call of gRPC-Web, which is always a POST. */
export function isGrpcWeb(head: RequestHead): boolean {
  return head.method === 'POST' && callOf(head) !== undefined;
}

/**
 * Serves the call in a request of gRPC-Web: `serve` is given its head in gRPC and the stream to answer on.
 * Undefined where the request is none, or none that HTTP/2 could say.
 */
export function bridgeGrpcWeb(
  head: RequestHead,
  stream: ServerStream,
  scheme: string,
  serve: (head: RequestHead, stream: ServerStream) => RequestHandler,
): RequestHandler | undefined {
  const call = callOf(head);
  if (call === undefined) return undefined;
  const grpcHead = grpcRequestHead(head, call, scheme, !hasBody(head));
  if (grpcHead === undefined) return undefined;
  return new GrpcWebStream(stream, call, (bridged) => serve(grpcHead, bridged));
}

function callOf({ headers }: RequestHead): GrpcWebCall | undefined {
  return grpcWebCall(headers.get('content-type'), headers.get('accept'));
}

class GrpcWebStream implements ServerStream, RequestHandler {
  readonly #stream: ServerStream;
  readonly #handler: RequestHandler;
  readonly #decoder: Base64Decoder | undefined;
  readonly #isText: boolean;
  /** Whether the response is one of gRPC; any other goes through as it came. */
  #isGrpc = false;
  #trailers: Fields | undefined;

  constructor(
    stream: ServerStream,
    call: GrpcWebCall,
    serve: (stream: ServerStream) => RequestHandler,
  ) {
    this.#stream = stream;
    this.#decoder = call.isRequestText ? new Base64Decoder() : undefined;
    this.#isText = call.isResponseText;
    this.#handler = serve(this);
  }

  get peer(): Connection['peer'] {
    return this.#stream.peer;
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress;
  }

  get endpoints(): Connection['endpoints'] {
    return this.#stream.endpoints;
  }

  sendInterim(head: ResponseHead): void {
    this.#stream.sendInterim(head);
  }

  sendHead(head: ResponseHead): boolean {
    const response = grpcWebResponse(head, this.#isText);
    if (response === undefined) return this.#stream.sendHead(head);
    this.#isGrpc = true;
    this.#trailers = response.trailers;
    return this.#stream.sendHead(response.head);
  }

  sendBody(bytes: Buffer): boolean {
    return this.#stream.sendBody(this.#isGrpc ? this.#written(bytes) : bytes);
  }

  endResponse(trailers: Fields | undefined): void {
    if (!this.#isGrpc) return this.#stream.endResponse(trailers);
    const last = trailers ?? this.#trailers;
    // The frame is as long as the bounds of a head allow, so it needs no room to be waited for.
    if (last !== undefined) this.#stream.sendBody(this.#written(trailerFrame(last.entries())));
    this.#stream.endResponse(undefined);
  }

  /** What would be its head alone has its end in the body too, where a browser's scripts may read it. */
  reply({ status, fields, body }: LocalAnswer): void {
    const statuses = fields.filter(([name]) => isStatusField(name));
    if (statuses.length === 0) return this.#stream.reply({ status, fields, body });
    const webFields = fields
      .filter(([name]) => !isStatusField(name))
      .map(([name, value]) => [name, grpcWebTypeOf(value, this.#isText) ?? value] as const);
    this.#stream.reply({ status, fields: webFields, body: this.#written(trailerFrame(statuses)) });
  }

  abort(reason: string, reset?: ResetReason): void {
    this.#stream.abort(reason, reset);
  }

  pauseRequest(): void {
    this.#stream.pauseRequest();
  }

  resumeRequest(): void {
    this.#stream.resumeRequest();
  }

  openTunnel(head: ResponseHead): boolean {
    return this.#stream.openTunnel(head);
  }

  endTunnel(): void {
    this.#stream.endTunnel();
  }

  start(): void {
    this.#handler.start();
  }

  onRequestBody(bytes: Buffer): void {
    const decoded = this.#decoder === undefined ? bytes : this.#decoder.decode(bytes);
    if (decoded === undefined) this.#handler.onRequestFailure(notBase64);
    else if (decoded.length > 0) this.#handler.onRequestBody(decoded);
  }

  /** gRPC has no trailers of a request. */
  onRequestEnd(): void {
    if (this.#decoder?.isWhole === false) this.#handler.onRequestFailure(brokenBase64);
    else this.#handler.onRequestEnd(undefined);
  }

  onRequestFailure(failure: RequestFailure): void {
    this.#handler.onRequestFailure(failure);
  }

  onClientAbort(cause: ClientAbort): void {
    this.#handler.onClientAbort(cause);
  }

  onResponseDrain(): void {
    this.#handler.onResponseDrain();
  }

  /** Each piece is padded to its end: kept until a group is full, a message could wait for the next. */
  #written(bytes: Buffer): Buffer {
    return this.#isText ? Buffer.from(bytes.toString('base64'), 'latin1') : bytes;
  }
}

const notBase64: RequestFailure = Object.freeze({
  status: 400,
  detail: 'the body of the request is not base64, as its gRPC-Web type says',
});
const brokenBase64: RequestFailure = Object.freeze({
  status: 400,
  detail: 'the body of the request ends in the middle of a group of base64',
});
