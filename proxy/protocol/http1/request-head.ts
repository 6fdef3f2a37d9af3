/** The head of a request: bytes and offsets, with what routing asks for made on demand. */

import type { Buffer } from 'node:buffer';
import { type ConnectionOptions, persists, readConnectionOptions } from './connection-options.ts';
import { HeaderBlock, type ScannedFields } from './header-block.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import type { MinorVersion } from './http-version.ts';
import { knownField } from './known-field.ts';
import { type Framing, readFraming } from './message-framing.ts';
import { methodAt } from './method.ts';
import type { RequestLineScanner } from './request-line-scanner.ts';
import { checkHost, type RequestTarget, readTarget } from './request-target.ts';

export class RequestHead {
  readonly protocol = 'http1';
  /** The whole head as it came, from the start line to the empty line. */
  readonly raw: Buffer;
  readonly method: string;
  readonly minorVersion: MinorVersion;
  readonly headers: HeaderBlock;
  readonly framing: Framing;
  readonly connection: ConnectionOptions;
  /** Whether the sender lets the connection carry another request. */
  readonly keepAlive: boolean;
  /** Where in `raw` the request line begins: behind an empty line, if there was one. */
  readonly methodStart: number;
  readonly #target: RequestTarget;

  constructor(parts: RequestParts) {
    this.raw = parts.raw;
    this.method = parts.method;
    this.minorVersion = parts.minorVersion;
    this.headers = parts.headers;
    this.framing = parts.framing;
    this.connection = parts.connection;
    this.keepAlive = parts.keepAlive;
    this.methodStart = parts.methodStart;
    this.#target = parts.target;
  }

  /** The request target exactly as sent. */
  get target(): string {
    return this.#target.text;
  }

  get targetForm(): RequestTarget['form'] {
    return this.#target.form;
  }

  /** The path of the target, undecoded; `*` in asterisk-form, empty in authority-form. */
  get path(): string {
    const { pathAndQuery } = this.#target;
    const mark = pathAndQuery.indexOf('?');
    return mark === -1 ? pathAndQuery : pathAndQuery.slice(0, mark);
  }

  /** What follows the first `?`; undefined if there is none, empty if nothing follows it. */
  get query(): string | undefined {
    const { pathAndQuery } = this.#target;
    const mark = pathAndQuery.indexOf('?');
    return mark === -1 ? undefined : pathAndQuery.slice(mark + 1);
  }

  /** Path and query: the target in origin-form, as it is forwarded (RFC 9112 §3.2.1). */
  get pathAndQuery(): string {
    return this.#target.pathAndQuery;
  }

  /** The authority the request is for, as written; undefined only in HTTP/1.0. */
  get host(): string | undefined {
    return this.#target.authority ?? this.headers.known(knownField.host);
  }

  /** Whether the client waits for 100 before it sends the body (RFC 9110 §10.1.1). */
  get expectContinue(): boolean {
    if (this.minorVersion === 0 || this.framing.kind === 'none') return false;
    const at = this.headers.indexOfKnown(knownField.expect);
    return at !== -1 && this.headers.valueEquals(at, '100-continue');
  }

  /** The protocols offered, if the sender asks to leave HTTP/1.1 (RFC 9110 §7.8). */
  get upgrade(): string | undefined {
    if (this.minorVersion === 0 || !this.connection.upgrade) return undefined;
    return this.headers.get('upgrade');
  }
}

interface RequestParts {
  readonly raw: Buffer;
  readonly method: string;
  readonly methodStart: number;
  readonly target: RequestTarget;
  readonly minorVersion: MinorVersion;
  readonly headers: HeaderBlock;
  readonly framing: Framing;
  readonly connection: ConnectionOptions;
  readonly keepAlive: boolean;
}

/** Checks everything that needs the whole head, and makes it a value. */
export function readRequestHead(
  raw: Buffer,
  line: RequestLineScanner,
  scanned: ScannedFields,
  bodyBytesMax: number,
): RequestHead | Http1ErrorEvent {
  const { minorVersion } = line;
  const method = methodAt(raw, line.methodStart, line.methodEnd);
  const target = readTarget(raw.toString('latin1', line.targetStart, line.targetEnd), method);
  if ('kind' in target) return target;
  const headers = new HeaderBlock(raw, scanned);
  const hostFailure = checkHost(headers, minorVersion, target);
  if (hostFailure !== undefined) return hostFailure;
  const connection = readConnectionOptions(headers);
  if ('kind' in connection) return connection;
  const framing = readFraming(headers, minorVersion, bodyBytesMax);
  if (framing.kind === 'error') return framing;
  const isConnect = method === 'CONNECT';
  // RFC 9110 §9.3.6: CONNECT has no content, and what follows it is the tunnel's.
  if (isConnect && framing.kind !== 'none') {
    return refuse('content_length_forbidden', 'CONNECT announces a body');
  }
  return new RequestHead({
    raw,
    method,
    methodStart: line.methodStart,
    target,
    minorVersion,
    headers,
    framing,
    connection,
    keepAlive: !isConnect && persists(connection, minorVersion),
  });
}
