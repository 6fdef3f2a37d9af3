/** The request target in its four forms (RFC 9112 §3.2), and the host that a request is for. */

import { isAuthority, isHostAndPort, isPlainHost, normaliseAuthority } from './authority.ts';
import type { HeaderBlock } from './header-block.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import type { MinorVersion } from './http-version.ts';
import { knownField } from './known-field.ts';

export interface RequestTarget {
  readonly text: string;
  readonly form: 'origin' | 'absolute' | 'authority' | 'asterisk';
  /** The target in origin-form; `*` in asterisk-form, empty in authority-form. */
  readonly pathAndQuery: string;
  /** Only in absolute-form and authority-form. */
  readonly authority?: string;
  readonly defaultPort?: string;
}

/** Reads a target whose bytes are already known to be allowed. */
export function readTarget(text: string, method: string): RequestTarget | Http1ErrorEvent {
  if (method === 'CONNECT') {
    return isHostAndPort(text)
      ? { text, form: 'authority', pathAndQuery: '', authority: text, defaultPort: '' }
      : refuse('target_invalid', 'the target of CONNECT is not host:port');
  }
  if (text.startsWith('/')) return { text, form: 'origin', pathAndQuery: text };
  if (text === '*') {
    return method === 'OPTIONS'
      ? { text, form: 'asterisk', pathAndQuery: '*' }
      : refuse('target_invalid', 'the target * belongs to OPTIONS alone');
  }
  return readAbsoluteForm(text, method);
}

/** Why the request does not name one host without doubt, if it does not. */
export function checkHost(
  headers: HeaderBlock,
  minorVersion: MinorVersion,
  target: RequestTarget,
): Http1ErrorEvent | undefined {
  const at = headers.indexOfKnown(knownField.host);
  // RFC 9112 §3.2: every HTTP/1.1 request has exactly one Host.
  if (at === -1) return minorVersion === 1 ? hostMissing : undefined;
  if (headers.isRepeated(knownField.host)) {
    return refuse('host_repeated', 'more than one Host field');
  }
  const { authority, defaultPort = '' } = target;
  const isPlain = isPlainHost(
    headers.raw,
    headers.fields[at + 2] ?? 0,
    headers.fields[at + 3] ?? 0,
  );
  if (isPlain && authority === undefined) return undefined;
  const host = headers.valueAt(at);
  if (!isAuthority(host)) return refuse('host_invalid', 'Host is not a host with an optional port');
  if (authority === undefined) return undefined;
  // RFC 9112 §3.2.2 has a proxy follow the target and replace Host. A client must send both alike,
  // so two different hosts are an attempt to be routed by one and served by the other.
  return normaliseAuthority(host, defaultPort) === normaliseAuthority(authority, defaultPort)
    ? undefined
    : refuse('host_mismatch', 'Host and the target name different hosts');
}

function readAbsoluteForm(text: string, method: string): RequestTarget | Http1ErrorEvent {
  const match = /^(https?):\/\/([^/?]*)(.*)$/i.exec(text);
  if (match === null) {
    return refuse('target_invalid', 'the target is neither a path nor an http or https URI');
  }
  const [, scheme = '', authority = '', rest = ''] = match;
  // RFC 9110 §4.2.1: an http URI with an empty host is invalid. User information is no authority
  // here either: §4.2.4 takes it for a disguise.
  if (authority === '' || authority.startsWith(':') || !isAuthority(authority)) {
    return refuse('target_invalid', 'the authority in the target is not a host');
  }
  const defaultPort = scheme.toLowerCase() === 'https' ? '443' : '80';
  return { text, form: 'absolute', pathAndQuery: originForm(rest, method), authority, defaultPort };
}

/** RFC 9112 §3.2.1 and §3.2.4: an empty path is `/`, or `*` for OPTIONS without a query. */
function originForm(rest: string, method: string): string {
  if (rest.startsWith('/')) return rest;
  if (rest === '' && method === 'OPTIONS') return '*';
  return `/${rest}`;
}

const hostMissing = Object.freeze(refuse('host_missing', 'an HTTP/1.1 request without Host'));
