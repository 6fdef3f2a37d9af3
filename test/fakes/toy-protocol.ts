/** The toy codec in STREAM: each call is a POST to `/toy` whose body is the payload, both ways. */

import { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../../proxy/net/connection.ts';
import type { LocalAnswer } from '../../proxy/protocol/codec.ts';
import { makeField } from '../../proxy/protocol/http2/field.ts';
import { Http2RequestHead, readRequestHead } from '../../proxy/protocol/http2/request-head.ts';
import { Http2ResponseHead, readResponseHead } from '../../proxy/protocol/http2/response-head.ts';
import type {
  Drainable,
  MultiplexProtocol,
  ServerOwner,
  SharedConnection,
  SharedOwner,
} from '../../proxy/stream/exchange-protocol.ts';
import type {
  ClientStream,
  OutgoingRequest,
  RequestHandler,
  RequestListener,
  ResponseHandler,
  ServerStream,
} from '../../proxy/stream/stream.ts';
import { toyCodec, type ToyExchange, ToySession, toyType } from './toy-codec.ts';

export const toyProtocol: MultiplexProtocol = {
  codec: toyCodec,
  serve: (connection, listener, owner) => new ToyServer(connection, listener, owner),
  connect: (connection, generation, owner) => new ToyClient(connection, generation, owner),
};

/** What both sides of the protocol do with their connection. */
abstract class ToyConnection implements ConnectionListener {
  readonly connection: Connection;
  readonly session = new ToySession({
    onCall: (exchange, payload) => this.onCall(exchange, payload),
    onFault: (detail) => this.connection.destroy(detail),
  });

  constructor(connection: Connection) {
    this.connection = connection;
    connection.attach(this);
  }

  protected abstract onCall(exchange: ToyExchange, payload: Buffer): void;

  onData(bytes: Buffer): void {
    toyCodec.decode(this.session, bytes);
    this.connection.requestFlush();
  }

  onFlush(): void {
    for (const part of toyCodec.encode(this.session)) this.connection.write(part);
  }

  onDrain(): void {}

  onEnd(): void {
    this.connection.destroy();
  }

  onDeadline(): void {
    this.connection.destroy();
  }

  abstract onClose(): void;
}

class ToyServer extends ToyConnection implements Drainable {
  readonly #listener: RequestListener;
  readonly #owner: ServerOwner;
  readonly #handlers = new Set<RequestHandler>();

  constructor(connection: Connection, listener: RequestListener, owner: ServerOwner) {
    super(connection);
    this.#listener = listener;
    this.#owner = owner;
  }

  drain(): void {
    this.connection.end();
  }

  protected onCall(exchange: ToyExchange, payload: Buffer): void {
    const stream = new ToyServerStream(exchange, this.connection, () =>
      this.#handlers.delete(handler),
    );
    const handler = this.#listener.onRequest(requestHead(payload.length), stream);
    this.#handlers.add(handler);
    stream.hold(() => {
      handler.onRequestBody(payload);
      handler.onRequestEnd(undefined);
    });
    handler.start();
    stream.release();
  }

  onClose(): void {
    for (const handler of this.#handlers) handler.onClientAbort('gone');
    this.#owner.onConnectionClosed(this);
  }
}

class ToyServerStream implements ServerStream {
  readonly peer: Connection['peer'];
  readonly remoteAddress: string;
  readonly endpoints: Connection['endpoints'];
  readonly #exchange: ToyExchange;
  readonly #connection: Connection;
  readonly #onOver: () => void;
  #rest: (() => void) | undefined;
  #isPaused = false;
  #status = 0;
  #body = Buffer.alloc(0);

  constructor(exchange: ToyExchange, connection: Connection, onOver: () => void) {
    this.#exchange = exchange;
    this.#connection = connection;
    this.#onOver = onOver;
    this.peer = connection.peer;
    this.remoteAddress = connection.remoteAddress;
    this.endpoints = connection.endpoints;
  }

  /** What is left of the request, for when it is wanted. */
  hold(rest: () => void): void {
    this.#rest = rest;
  }

  release(): void {
    if (this.#isPaused) return;
    const rest = this.#rest;
    this.#rest = undefined;
    rest?.();
  }

  sendInterim(): void {}

  sendHead({ status }: { readonly status: number }): boolean {
    this.#status = status;
    return true;
  }

  sendBody(bytes: Buffer): boolean {
    this.#body = Buffer.concat([this.#body, bytes]);
    return true;
  }

  endResponse(): void {
    this.reply({ status: this.#status, fields: [], body: this.#body });
  }

  reply(answer: LocalAnswer): void {
    this.#rest = undefined;
    toyCodec.localReply(this.#exchange, answer);
    this.#connection.requestFlush();
    this.#onOver();
  }

  abort(reason: string): void {
    this.reply({ status: 502, fields: [], body: reason });
  }

  pauseRequest(): void {
    this.#isPaused = true;
  }

  resumeRequest(): void {
    this.#isPaused = false;
    this.release();
  }

  openTunnel(): boolean {
    return true;
  }

  endTunnel(): void {}
}

class ToyClient extends ToyConnection implements SharedConnection {
  readonly generation: number;
  readonly isReady = true;
  openedCount = 0;
  isLeaving = false;
  readonly #owner: SharedOwner;
  readonly #calls = new Map<number, ResponseHandler>();

  constructor(connection: Connection, generation: number, owner: SharedOwner) {
    super(connection);
    this.generation = generation;
    this.#owner = owner;
    // A protocol with no settings to wait for has room from the start.
    queueMicrotask(() => owner.onRoom(this));
  }

  get mayOpen(): boolean {
    return !this.isLeaving;
  }

  newStream(): ClientStream {
    this.openedCount += 1;
    return new ToyClientStream(this, this.connection.remoteAddress);
  }

  call(payload: Buffer, handler: ResponseHandler): number {
    const exchange = this.session.open();
    const id = toyCodec.requestId(exchange);
    this.#calls.set(id, handler);
    this.session.send(toyType.request, id, payload);
    this.connection.requestFlush();
    return id;
  }

  forget(id: number): void {
    this.#calls.delete(id);
  }

  retire(): void {
    this.isLeaving = true;
    if (this.#calls.size === 0) this.close();
  }

  close(): void {
    this.connection.destroy();
  }

  protected onCall(exchange: ToyExchange, payload: Buffer): void {
    const id = toyCodec.requestId(exchange);
    const handler = this.#calls.get(id);
    this.#calls.delete(id);
    if (handler === undefined) return;
    handler.onResponseHead(responseHead(Number(payload.toString('latin1', 0, 3))));
    handler.onResponseBody(payload.subarray(4));
    handler.onResponseEnd(undefined);
    this.#owner.onRoom(this);
  }

  onClose(): void {
    this.isLeaving = true;
    for (const handler of this.#calls.values()) {
      handler.onResponseFailure({ code: 'lost', detail: 'the server is gone' });
    }
    this.#owner.onConnectionLost(this);
  }
}

class ToyClientStream implements ClientStream {
  readonly remoteAddress: string;
  readonly isReused = false;
  readonly #client: ToyClient;
  #handler: ResponseHandler | undefined;
  #body = Buffer.alloc(0);
  #id = 0;

  constructor(client: ToyClient, remoteAddress: string) {
    this.#client = client;
    this.remoteAddress = remoteAddress;
  }

  start(_request: OutgoingRequest, handler: ResponseHandler): void {
    this.#handler = handler;
  }

  sendBody(bytes: Buffer): boolean {
    this.#body = Buffer.concat([this.#body, bytes]);
    return true;
  }

  endRequest(): void {
    if (this.#handler !== undefined) this.#id = this.#client.call(this.#body, this.#handler);
  }

  pauseResponse(): void {}

  resumeResponse(): void {}

  abort(): void {
    this.#client.forget(this.#id);
  }
}

function requestHead(length: number): Http2RequestHead {
  const pseudo = { ':method': 'POST', ':scheme': 'http', ':path': '/toy', ':authority': 'toy' };
  const fields = Object.entries(pseudo).map(([name, value]) => makeField(name, value));
  const head = readRequestHead([...fields, makeField('content-length', `${length}`)], false, false);
  if (!(head instanceof Http2RequestHead)) throw new Error(head.detail);
  return head;
}

function responseHead(status: number): Http2ResponseHead {
  const head = readResponseHead([makeField(':status', String(status))], false);
  if (!(head instanceof Http2ResponseHead)) throw new Error(head.detail);
  return head;
}
