/**
 * CONNECT that ends here: the proxy answers it and the tunnel goes on as plain TCP (RFC 9110 §9.3.6). To whoever sent
 * the request it is an exchange like any other, whose server has answered 200.
 */

import { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import { ResponseDecoder } from '../protocol/http1/response-decoder.ts';
import type { ResponseHead } from '../protocol/http1/response-head.ts';
import type { Pool, PoolWaiter } from './pool.ts';
import type { BindingOutcome } from './pool-binding.ts';
import type { ClientStream, ClientTimeouts, OutgoingRequest, ResponseHandler } from './stream.ts';

/** One connection for one waiter, in the place of a pool. */
export class TunnelDial implements Pick<Pool, 'acquire' | 'cancel'> {
  readonly #dial: (done: (outcome: BindingOutcome) => void) => void;
  readonly #timeouts: ClientTimeouts;
  #waiter: PoolWaiter | undefined;

  /** `dial` calls back once, and never before it returns. */
  constructor(dial: (done: (outcome: BindingOutcome) => void) => void, timeouts: ClientTimeouts) {
    this.#dial = dial;
    this.#timeouts = timeouts;
  }

  acquire(waiter: PoolWaiter): void {
    this.#waiter = waiter;
    this.#dial((outcome) => {
      const waiting = this.#waiter;
      this.#waiter = undefined;
      if (outcome.kind === 'failed') waiting?.onNoConnection(outcome.code, outcome.detail);
      else if (waiting === undefined) outcome.connection.destroy('the client is gone');
      else waiting.onConnection(new DialledTunnel(outcome.connection, this.#timeouts));
    });
  }

  cancel(): void {
    this.#waiter = undefined;
  }
}

class DialledTunnel implements ClientStream, ConnectionListener {
  readonly isReused = false;
  readonly #connection: Connection;
  readonly #timeouts: ClientTimeouts;
  #handler: ResponseHandler | undefined;
  #hasClientEnded = false;
  #hasServerEnded = false;

  constructor(connection: Connection, timeouts: ClientTimeouts) {
    this.#connection = connection;
    this.#timeouts = timeouts;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  start(_request: OutgoingRequest, handler: ResponseHandler): void {
    this.#handler = handler;
    // A tunnel is timed on the side of the client.
    this.#connection.neverExpire();
    handler.onResponseHead(established());
    // What a server that speaks first has said already goes behind the head.
    this.#connection.attach(this);
  }

  sendBody(bytes: Buffer): boolean {
    return this.#connection.write(bytes);
  }

  endRequest(): void {
    this.#hasClientEnded = true;
    this.#connection.end();
    this.#leaveIfOver();
  }

  pauseResponse(): void {
    this.#connection.pause();
  }

  resumeResponse(): void {
    this.#connection.resume();
  }

  abort(reason: string): void {
    this.#handler = undefined;
    this.#connection.breakOff(reason);
  }

  onData(bytes: Buffer): void {
    this.#handler?.onResponseBody(bytes);
  }

  onDrain(): void {
    this.#handler?.onRequestDrain();
  }

  onEnd(isBroken: boolean): void {
    if (isBroken) {
      this.#connection.destroy('TLS was broken off without close_notify');
      return;
    }
    this.#hasServerEnded = true;
    const handler = this.#handler;
    this.#leaveIfOver();
    handler?.onResponseEnd(undefined);
  }

  /** Of what was sent last, once both sides have ended. */
  onDeadline(): void {
    this.#connection.destroy();
  }

  onClose(reason: string | undefined): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onResponseFailure({ code: 'cut_off', detail: reason ?? 'the server broke off' });
  }

  /** The socket goes by itself once the server has taken the last byte, for which it has so long. */
  #leaveIfOver(): void {
    if (!this.#hasClientEnded || !this.#hasServerEnded) return;
    this.#handler = undefined;
    this.#connection.expireIn(this.#timeouts.idleMs);
  }
}

function established(): ResponseHead {
  const decoder = new ResponseDecoder();
  decoder.expect('CONNECT', undefined);
  decoder.push(Buffer.from('HTTP/1.1 200 OK\r\n\r\n', 'latin1'));
  const event = decoder.next();
  if (event.kind !== 'head') throw new RangeError('a whole head is a head');
  return event.head;
}
