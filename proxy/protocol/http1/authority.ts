/** `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2): the value of Host and the authority of a target. */

import { Buffer } from 'node:buffer';
import { octet } from './octets.ts';

/**
 * Whether the text is a host with an optional port. An empty host is one (RFC 9112 §3.2 has a client
 * send it where the target has no authority). User information is not part of it, and a comma, which
 * RFC 3986 would allow in a name, is refused: it is what two joined Host fields look like.
 */
export function isAuthority(text: string): boolean {
  const match = authority.exec(text);
  return match !== null && Number(match[2] ?? 0) <= portMax;
}

/**
 * Whether the bytes are a name of letters, digits, dots and hyphens, and perhaps a short port. Nearly
 * every Host is, and this tells it without making a string; `false` only means to look closer.
 */
export function isPlainHost(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  while (at < end && isHostOctet[bytes[at] ?? 0] === 1) at += 1;
  if (at === end) return true;
  if (bytes[at] !== octet.colon || end - at > plainPortLengthMax) return false;
  for (at += 1; at < end; at += 1) {
    if (isDigit[bytes[at] ?? 0] !== 1) return false;
  }
  return true;
}

/** Whether the text is a host that is not empty and a port that is not left out (RFC 9112 §3.2.3). */
export function isHostAndPort(text: string): boolean {
  const match = authority.exec(text);
  const [, host = '', port = ''] = match ?? [];
  return host !== '' && port !== '' && Number(port) <= portMax;
}

/** The authority as it is compared: lower case, without the port that the scheme implies. */
export function normaliseAuthority(text: string, defaultPort: string): string {
  const lower = text.toLowerCase();
  const colon = lower.lastIndexOf(':');
  if (colon === -1 || lower.endsWith(']')) return lower;
  const port = lower.slice(colon + 1);
  return port === '' || port === defaultPort ? lower.slice(0, colon) : lower;
}

const authority =
  /^(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)(?::(\d{0,5}))?$/;
const portMax = 65_535;
// A colon and four digits, all of which are below the highest port.
const plainPortLengthMax = 5;
const isDigit = tableOf('0123456789');
const isHostOctet = tableOf('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-');

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const code of Buffer.from(characters, 'latin1')) table[code] = 1;
  return table;
}
