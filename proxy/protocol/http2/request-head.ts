/** The head of an HTTP/2 request (RFC 9113 §8.3.1): its pseudo-fields read, the rest as it came. */

import { isAuthority, normaliseAuthority } from '../http1/authority.ts';
import { isEvery, isTargetOctet, isTokenOctet } from '../http1/octets.ts';
import { errorCode, type Http2Fault, streamFault } from './error-code.ts';
import { type Field, fieldKind } from './field.ts';
import { FieldList } from './field-list.ts';
import { readContentLength } from './content-length.ts';

export class Http2RequestHead {
  readonly protocol = 'http2';
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** `*` for OPTIONS as a whole, empty for CONNECT. */
  readonly pathAndQuery: string;
  /** What an extended CONNECT asks to speak (RFC 8441), for example `websocket`. */
  readonly connectProtocol: string | undefined;
  readonly contentLength: number | undefined;
  /** Whether the stream ended with the head. */
  readonly isWhole: boolean;
  readonly headers: FieldList;

  constructor(parts: HeadParts, isWhole: boolean, headers: FieldList, length: number | undefined) {
    this.method = parts.method ?? '';
    this.scheme = parts.scheme ?? '';
    this.authority = parts.authority ?? '';
    this.pathAndQuery = parts.path ?? '';
    this.connectProtocol = parts.protocol;
    this.contentLength = length;
    this.isWhole = isWhole;
    this.headers = headers;
  }

  get path(): string {
    const mark = this.pathAndQuery.indexOf('?');
    return mark === -1 ? this.pathAndQuery : this.pathAndQuery.slice(0, mark);
  }

  get host(): string {
    return this.authority;
  }
}

/** Checks the whole list and makes it a head. */
export function readRequestHead(
  fields: readonly Field[],
  isWhole: boolean,
  allowsExtendedConnect: boolean,
): Http2RequestHead | Http2Fault {
  const parts: HeadParts = {};
  const from = readPseudoFields(fields, parts);
  if (typeof from !== 'number') return from;
  const failure = readFields(fields, from, parts) ?? checkParts(parts, allowsExtendedConnect);
  if (failure !== undefined) return failure;
  const length = readContentLength(parts.contentLength);
  if (length !== undefined && typeof length !== 'number') return length;
  if (isWhole && (length ?? 0) > 0)
    return malformed('a body is announced and the stream has ended');
  return new Http2RequestHead(parts, isWhole, new FieldList(fields, from), length);
}

interface HeadParts {
  method?: string;
  scheme?: string;
  authority?: string;
  path?: string;
  protocol?: string;
  host?: string;
  contentLength?: string;
}

/** RFC 9113 §8.3: they come first, each once, and only those of a request. Answers where they end. */
function readPseudoFields(fields: readonly Field[], parts: HeadParts): number | Http2Fault {
  let at = 0;
  for (; at < fields.length; at += 1) {
    const field = fields[at];
    if (field === undefined) break;
    const name = pseudoNames[field.kind];
    if (name === undefined) break;
    if (parts[name] !== undefined) return malformed(`:${name} is there twice`);
    parts[name] = field.value;
  }
  return at;
}

function readFields(
  fields: readonly Field[],
  from: number,
  parts: HeadParts,
): Http2Fault | undefined {
  for (let at = from; at < fields.length; at += 1) {
    const field = fields[at];
    // Nearly every field means nothing to us, and its name has been judged.
    if (field === undefined || field.kind === fieldKind.ordinary) continue;
    if (field.kind === fieldKind.malformed) return malformed('a field that HTTP/2 does not allow');
    if (field.name.startsWith(':')) {
      return malformed('a pseudo-field of no request, or behind a field');
    }
    if (field.kind === fieldKind.host) {
      if (parts.host !== undefined) return malformed('host is there twice');
      parts.host = field.value;
    } else if (field.kind === fieldKind.contentLength) {
      if (parts.contentLength !== undefined) return malformed('content-length is there twice');
      parts.contentLength = field.value;
    }
  }
  return undefined;
}

function checkParts(parts: HeadParts, allowsExtendedConnect: boolean): Http2Fault | undefined {
  const { method = '', protocol } = parts;
  if (method === '' || !isEvery(isTokenOctet, method)) return malformed('no method');
  if (protocol !== undefined && !(allowsExtendedConnect && method === 'CONNECT')) {
    return malformed(':protocol where no extended CONNECT is');
  }
  if (protocol !== undefined) {
    if (protocol === '' || !isEvery(isTokenOctet, protocol))
      return malformed(':protocol is no token');
    // RFC 9110 §9.3.6: a tunnel has no length.
    if (parts.contentLength !== undefined) return malformed('an extended CONNECT with a length');
  }
  const authorityFailure = checkAuthority(parts);
  if (authorityFailure !== undefined) return authorityFailure;
  if (method === 'CONNECT' && protocol === undefined) {
    // RFC 9113 §8.5.
    return parts.scheme === undefined && parts.path === undefined
      ? undefined
      : malformed('CONNECT with a scheme or a path');
  }
  if (parts.scheme !== 'http' && parts.scheme !== 'https') {
    return malformed(':scheme is neither http nor https');
  }
  return checkPath(parts.path ?? '', method);
}

/**
 * RFC 9113 §8.3.1 lets a request say its host in either place. Two that differ would be routed by one
 * and served by the other; none at all, or an empty one, could not be forwarded.
 */
function checkAuthority(parts: HeadParts): Http2Fault | undefined {
  const { host, scheme } = parts;
  const authority = parts.authority ?? host;
  if (authority === undefined || authority === '') return malformed('neither :authority nor host');
  if (authority.startsWith(':') || !isAuthority(authority)) {
    return malformed('the authority is not a host with an optional port');
  }
  parts.authority = authority;
  if (host === undefined || host === authority) return undefined;
  const defaultPort = scheme === 'https' ? '443' : '80';
  return normaliseAuthority(host, defaultPort) === normaliseAuthority(authority, defaultPort)
    ? undefined
    : malformed('host and :authority name different hosts');
}

function checkPath(path: string, method: string): Http2Fault | undefined {
  if (path === '*' && method === 'OPTIONS') return undefined;
  return path.startsWith('/') && isEvery(isTargetOctet, path)
    ? undefined
    : malformed(':path is not a path');
}

function malformed(detail: string): Http2Fault {
  return streamFault(errorCode.protocolError, detail);
}

type PseudoName = 'method' | 'scheme' | 'authority' | 'path' | 'protocol';

const pseudoNames: Partial<Record<number, PseudoName>> = {
  [fieldKind.method]: 'method',
  [fieldKind.scheme]: 'scheme',
  [fieldKind.authority]: 'authority',
  [fieldKind.path]: 'path',
  [fieldKind.protocol]: 'protocol',
};
