/** What a decoder said about some bytes, written down so that a vector can be compared with it. */

import { Buffer } from 'node:buffer';
import type { Http1ErrorEvent } from '../../../proxy/protocol/http1/http1-event.ts';
import type { Http1Limits } from '../../../proxy/protocol/http1/limits.ts';
import type { Framing } from '../../../proxy/protocol/http1/message-framing.ts';
import { RequestDecoder } from '../../../proxy/protocol/http1/request-decoder.ts';
import type { RequestHead } from '../../../proxy/protocol/http1/request-head.ts';
import { ResponseDecoder } from '../../../proxy/protocol/http1/response-decoder.ts';
import type { ResponseHead } from '../../../proxy/protocol/http1/response-head.ts';

/** Every character of `body` is one byte. `complete` is false while no end was seen. */
export interface Message {
  readonly head: Readonly<Record<string, unknown>>;
  body: string;
  complete: boolean;
  trailers?: readonly (readonly [string, string])[];
}

export interface Transcript {
  readonly messages: readonly Message[];
  /** The code and status of the error that ended it. */
  readonly error?: readonly [code: string, status: number];
}

export interface RequestCircumstances {
  /** Whether the first request is answered by a tunnel, which the client ends after the last byte. */
  readonly tunnel?: boolean;
}

/** A tunnel is told as one more message. */
export function requestTranscript(
  chunks: readonly Buffer[],
  { tunnel = false }: RequestCircumstances = {},
  limits?: Http1Limits,
): Transcript {
  const decoder = new RequestDecoder(limits);
  const writer = new TranscriptWriter();
  let isAwaited = tunnel;
  for (const [index, chunk] of [...chunks, Buffer.alloc(0)].entries()) {
    decoder.push(chunk);
    let event = index === chunks.length && tunnel ? decoder.finish() : decoder.next();
    for (; event.kind !== 'need_more'; event = decoder.next()) {
      if (event.kind === 'error') return writer.fail(event);
      if (event.kind === 'head') writer.begin(describeRequest(event.head));
      if (event.kind === 'data') writer.data(event.bytes);
      if (event.kind !== 'end') continue;
      writer.end(event.trailers?.entries());
      if (!isAwaited) continue;
      isAwaited = false;
      decoder.openTunnel();
      writer.begin({ tunnel });
    }
  }
  return writer.transcript;
}

export interface ResponseCircumstances {
  /** The methods of the requests that were sent; one GET if not given. */
  readonly methods?: readonly string[];
  /** What each of them offered to upgrade to. */
  readonly offers?: readonly string[];
  /** Whether the server closed its side after the last byte. */
  readonly closed?: boolean;
}

export function responseTranscript(
  chunks: readonly Buffer[],
  { methods = ['GET'], offers = [], closed = false }: ResponseCircumstances = {},
  limits?: Http1Limits,
): Transcript {
  const decoder = new ResponseDecoder(limits);
  const writer = new TranscriptWriter();
  for (const [index, method] of methods.entries()) decoder.expect(method, offers[index]);
  for (const [index, chunk] of [...chunks, Buffer.alloc(0)].entries()) {
    decoder.push(chunk);
    let event = index === chunks.length && closed ? decoder.finish() : decoder.next();
    for (; event.kind !== 'need_more'; event = decoder.next()) {
      if (event.kind === 'error') return writer.fail(event);
      if (event.kind === 'head') writer.begin(describeResponse(event.head), event.interim);
      if (event.kind === 'data') writer.data(event.bytes);
      if (event.kind === 'end') writer.end(event.trailers?.entries());
    }
  }
  return writer.transcript;
}

/** Throws when the order of events is not head, data…, end. */
class TranscriptWriter {
  readonly #messages: Message[] = [];
  #open: Message | undefined;

  get transcript(): Transcript {
    return { messages: this.#messages };
  }

  begin(head: Message['head'], isInterim = false): void {
    if (this.#open !== undefined) throw new Error('a head inside a message');
    const message = { head, body: '', complete: isInterim };
    this.#messages.push(message);
    if (!isInterim) this.#open = message;
  }

  data(bytes: Buffer): void {
    if (this.#open === undefined || bytes.length === 0) throw new Error('data out of place');
    this.#open.body += bytes.toString('latin1');
  }

  end(trailers: Iterable<[string, string]> | undefined): void {
    if (this.#open === undefined) throw new Error('an end out of place');
    this.#open.complete = true;
    if (trailers !== undefined) this.#open.trailers = [...trailers];
    this.#open = undefined;
  }

  fail(event: Http1ErrorEvent): Transcript {
    return { messages: this.#messages, error: [event.code, event.status] };
  }
}

function describeRequest(head: RequestHead): Message['head'] {
  return given({
    method: head.method,
    target: head.target,
    path: head.path,
    query: head.query,
    host: head.host,
    version: `1.${head.minorVersion}`,
    framing: describeFraming(head.framing),
    keepAlive: head.keepAlive,
    expectContinue: head.expectContinue || undefined,
    upgrade: head.upgrade,
    headers: [...head.headers.entries()],
  });
}

function describeResponse(head: ResponseHead): Message['head'] {
  return given({
    status: head.status,
    reason: head.reason,
    version: `1.${head.minorVersion}`,
    framing: describeFraming(head.framing),
    keepAlive: head.keepAlive,
    interim: head.interim || undefined,
    upgrade: head.upgrade,
    headers: [...head.headers.entries()],
  });
}

function describeFraming(framing: Framing): string | number {
  return framing.kind === 'length' ? framing.length : framing.kind;
}

function given(fields: Readonly<Record<string, unknown>>): Message['head'] {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
