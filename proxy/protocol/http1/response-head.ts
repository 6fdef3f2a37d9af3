/** The head of a response: bytes and offsets, and how its body ends for the request it answers. */

import type { Buffer } from 'node:buffer';
import { type ConnectionOptions, persists, readConnectionOptions } from './connection-options.ts';
import { HeaderBlock, type ScannedFields } from './header-block.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import type { MinorVersion } from './http-version.ts';
import { type Framing, noBody, readFraming, tunnel, untilClose } from './message-framing.ts';
import type { StatusLineScanner } from './status-line-scanner.ts';
import { protocolsIn } from './upgrade.ts';

export class ResponseHead {
  readonly protocol = 'http1';
  /** The whole head as it came, from the status line to the empty line. */
  readonly raw: Buffer;
  readonly status: number;
  readonly minorVersion: MinorVersion;
  readonly headers: HeaderBlock;
  readonly framing: Framing;
  readonly connection: ConnectionOptions;
  /** Whether the connection may carry another exchange once this response has ended. */
  readonly keepAlive: boolean;
  /** Whether the status line has the space before the reason phrase, be the phrase empty. */
  readonly hasReason: boolean;
  readonly #reasonStart: number;
  readonly #reasonEnd: number;

  constructor(
    raw: Buffer,
    line: StatusLineScanner,
    headers: HeaderBlock,
    connection: ConnectionOptions,
    framing: Framing,
  ) {
    this.raw = raw;
    this.status = line.status;
    this.minorVersion = line.minorVersion;
    this.headers = headers;
    this.framing = framing;
    this.connection = connection;
    this.keepAlive =
      framing.kind !== 'until_close' &&
      framing.kind !== 'tunnel' &&
      persists(connection, line.minorVersion);
    this.hasReason = line.hasReason;
    this.#reasonStart = line.reasonStart;
    this.#reasonEnd = line.reasonEnd;
  }

  /** A 1xx head: the final response is still to come (RFC 9110 §15.2). 101 is the last in HTTP/1.1. */
  get interim(): boolean {
    return this.status < 200 && this.status !== 101;
  }

  /** The reason phrase as sent, often empty; it means nothing to a program (RFC 9112 §4). */
  get reason(): string {
    return this.raw.toString('latin1', this.#reasonStart, this.#reasonEnd);
  }

  get upgrade(): string | undefined {
    if (this.minorVersion === 0 || !this.connection.upgrade) return undefined;
    return this.headers.get('upgrade');
  }
}

/** What a response answers, as far as its framing depends on it. */
export interface DueResponse {
  readonly method: string;
  /** The protocols that the request offered to change to. */
  readonly upgrade: string | undefined;
}

/** Checks everything that needs the whole head, and makes it a value. */
export function readResponseHead(
  raw: Buffer,
  line: StatusLineScanner,
  scanned: ScannedFields,
  due: DueResponse,
  bodyBytesMax: number,
): ResponseHead | Http1ErrorEvent {
  const headers = new HeaderBlock(raw, scanned);
  const connection = readConnectionOptions(headers);
  if ('kind' in connection) return connection;
  const stated = readFraming(headers, line.minorVersion, bodyBytesMax);
  if (stated.kind === 'error') return stated;
  const framing = framingFor(due.method, line.status, stated);
  if (framing.kind === 'error') return framing;
  const head = new ResponseHead(raw, line, headers, connection, framing);
  return line.status === 101 && !isOffered(head.upgrade, due.upgrade) ? unsolicitedUpgrade : head;
}

/** RFC 9110 §7.8: the server names what it changes to, and that must be among what it was offered. */
function isOffered(taken: string | undefined, offered: string | undefined): boolean {
  if (taken === undefined || offered === undefined) return false;
  const members = protocolsIn(offered);
  const layers = protocolsIn(taken);
  return layers.length > 0 && layers.every((protocol) => members.includes(protocol));
}

/** RFC 9112 §6.3, the rules for responses in their order. */
function framingFor(method: string, status: number, stated: Framing): Framing | Http1ErrorEvent {
  if (status === 101) return framingOfBodiless(stated, tunnel);
  // A tunnel begins with any 2xx to CONNECT, 204 included.
  if (method === 'CONNECT' && status >= 200 && status < 300) {
    return framingOfBodiless(stated, tunnel);
  }
  if (status < 200 || status === 204) return framingOfBodiless(stated, noBody);
  if (method === 'HEAD' || status === 304) return noBody;
  return stated.kind === 'none' ? untilClose : stated;
}

/**
 * RFC 9110 §8.6, RFC 9112 §6.1: such a response must not announce a body. A length of 0 is harmless
 * and common; anything else means that the server or a cache behind it sees a body where none is.
 */
function framingOfBodiless(stated: Framing, framing: Framing): Framing | Http1ErrorEvent {
  if (stated.kind === 'chunked') {
    return refuse('transfer_encoding_forbidden', 'Transfer-Encoding in a response without a body');
  }
  if (stated.kind === 'length' && stated.length > 0) {
    return refuse('content_length_forbidden', 'Content-Length in a response without a body');
  }
  return framing;
}

const unsolicitedUpgrade = Object.freeze(
  refuse('upgrade_unsolicited', '101 to a protocol that the request did not offer'),
);
