/** One request on an HTTP/2 connection of ours. */

import type { Buffer } from 'node:buffer';
import { type Expiring, never } from '../net/deadlines.ts';
import type { Fields } from '../protocol/fields.ts';
import { errorCode } from '../protocol/http2/error-code.ts';
import type { FieldList } from '../protocol/http2/field-list.ts';
import type { Http2Stream, StreamConsumer, StreamReset } from '../protocol/http2/http2-stream.ts';
import type { Http2ResponseHead } from '../protocol/http2/response-head.ts';
import { connectFields, upgradedResponse } from '../protocol/translation/extended-connect.ts';
import { protocolsIn } from '../protocol/http1/upgrade.ts';
import type { RequestHead as Http1RequestHead } from '../protocol/http1/request-head.ts';
import { requestFields, trailerFields } from '../protocol/translation/to-http2.ts';
import type { Http2ClientConnection } from './http2-client-connection.ts';
import { resetReasonOf } from './reset-reason.ts';
import {
  type ClientStream,
  isGrpc,
  type OutgoingRequest,
  type ResponseFailure,
  type ResponseHandler,
} from './stream.ts';

export class Http2ClientStream implements ClientStream, StreamConsumer, Expiring {
  deadlineMs = never;
  readonly isReused: boolean;
  readonly #connection: Http2ClientConnection;
  #stream: Http2Stream | undefined;
  #handler: ResponseHandler | undefined;
  #isTimed = true;
  #isRequestEnded = false;
  #hasResponseBegun = false;
  #isPaused = false;
  /** An upgrade that went out as an extended CONNECT, until it is declined. */
  #asked: AskedTunnel | undefined;
  #isTunnel = false;
  #isResponseEnded = false;

  constructor(connection: Http2ClientConnection) {
    this.#connection = connection;
    this.isReused = connection.openedCount > 0;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  start({ head, edits, scheme }: OutgoingRequest, handler: ResponseHandler): void {
    const stream = this.#connection.open();
    this.#stream = stream;
    this.#handler = handler;
    // How long a gRPC call may be silent is for its own deadline to say; a server that is gone is
    // found out by the connection.
    this.#isTimed = !isGrpc(head);
    stream.consumer = this;
    stream.isBodiless = head.method === 'HEAD';
    this.#connection.deps.deadlines.add(this);
    const asked = this.#connection.allowsConnect ? askedTunnel(head, edits.upgrade) : undefined;
    this.#asked = asked;
    stream.sendHead(
      asked === undefined
        ? requestFields(head, edits, scheme)
        : connectFields(asked.request, edits, scheme, asked.protocol),
    );
  }

  sendBody(bytes: Buffer): boolean {
    if (this.#stream?.send(bytes) !== false) return true;
    this.#expire();
    return false;
  }

  endRequest(trailers: Fields | undefined): void {
    this.#isRequestEnded = true;
    if (this.#isTunnel) {
      this.#stream?.end();
      if (this.#isResponseEnded) this.#leaveTunnel();
      return;
    }
    // The end of the GET that it was; the stream is the tunnel's.
    if (this.#asked === undefined)
      this.#stream?.end(trailers === undefined ? [] : trailerFields(trailers));
    this.#expire();
  }

  pauseResponse(): void {
    this.#isPaused = true;
    this.#stream?.pause();
    // A client that does not read is timed on its own side.
    this.deadlineMs = never;
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#isRequestEnded) this.#expire();
    this.#stream?.resume();
  }

  abort(): void {
    this.#leave();
  }

  onHead(head: Http2ResponseHead): void {
    if (this.#isRequestEnded) this.#expire();
    if (head.interim) {
      this.#handler?.onInterimHead(head);
      return;
    }
    this.#hasResponseBegun = true;
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked === undefined || head.status > 299) this.#handler?.onResponseHead(head);
    else this.#openTunnel(asked, head);
  }

  onData(bytes: Buffer): void {
    if (this.#isRequestEnded && !this.#isPaused) this.#expire();
    this.#handler?.onResponseBody(bytes);
  }

  onEnd(trailers: FieldList | undefined): void {
    const handler = this.#handler;
    if (this.#isTunnel) {
      this.#isResponseEnded = true;
      handler?.onResponseEnd(undefined);
      if (this.#isRequestEnded) this.#leaveTunnel();
      return;
    }
    // RFC 9113 §8.1: the rest of a request that has been answered is not sent.
    this.#leave();
    handler?.onResponseEnd(trailers);
  }

  onReset({ code: number, detail, by }: StreamReset): void {
    const code = this.#hasResponseBegun ? 'cut_off' : failures[by];
    const isToldSo = by === 'peer' || by === 'unprocessed';
    this.#fail({ code, detail, reset: isToldSo ? resetReasonOf(number) : undefined });
  }

  onDrain(): void {
    if (this.#isTunnel && this.#handler === undefined) {
      this.#leave();
      return;
    }
    if (this.#isRequestEnded) this.#expire();
    else this.deadlineMs = never;
    this.#handler?.onRequestDrain();
  }

  onDeadline(): void {
    this.#fail({ code: 'timeout', detail: 'the server did not answer in time' });
  }

  /** RFC 8441 §4: a 2xx is what 101 is in HTTP/1.1. From here on it is timed on the side of the client. */
  #openTunnel({ request, protocol }: AskedTunnel, head: Http2ResponseHead): void {
    const upgraded = upgradedResponse(head, request, protocol);
    if ('kind' in upgraded) {
      this.#fail({ code: 'bad', detail: upgraded.detail });
      return;
    }
    this.#isTunnel = true;
    this.#isRequestEnded = false;
    this.#isTimed = false;
    this.deadlineMs = never;
    this.#handler?.onResponseHead(upgraded);
  }

  /** Both sides have ended, but what the client sent last may still wait for a window, for so long. */
  #leaveTunnel(): void {
    this.#handler = undefined;
    if (this.#stream?.isBlocked !== true) {
      this.#leave();
      return;
    }
    const { deadlines, timeouts } = this.#connection.deps;
    this.deadlineMs = deadlines.in(timeouts.responseMs);
  }

  #expire(): void {
    if (!this.#isTimed || this.#handler === undefined) return;
    const { deadlines, timeouts } = this.#connection.deps;
    this.deadlineMs = deadlines.in(timeouts.responseMs);
  }

  #fail(failure: ResponseFailure): void {
    const handler = this.#handler;
    this.#leave();
    handler?.onResponseFailure(failure);
  }

  #leave(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#stream = undefined;
    this.#handler = undefined;
    this.deadlineMs = never;
    this.#connection.deps.deadlines.delete(this);
    stream.reset(errorCode.cancel);
    this.#connection.onStreamEnd();
  }
}

interface AskedTunnel {
  readonly request: Http1RequestHead;
  readonly protocol: string;
}

/** RFC 8441 §4: one protocol is asked for, so it is the one that the client likes best. */
function askedTunnel(
  head: OutgoingRequest['head'],
  upgrade: string | undefined,
): AskedTunnel | undefined {
  if (upgrade === undefined || head.protocol !== 'http1' || head.method !== 'GET') return undefined;
  const [protocol] = protocolsIn(upgrade);
  return protocol === undefined ? undefined : { request: head, protocol };
}

const failures: Readonly<Record<StreamReset['by'], ResponseFailure['code']>> = {
  unprocessed: 'unprocessed',
  peer: 'lost',
  connection: 'lost',
  fault: 'bad',
};
