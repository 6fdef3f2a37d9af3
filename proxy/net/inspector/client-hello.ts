/** A TLS ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), read whole: what a filter chain may be chosen by. */

import type { Buffer } from 'node:buffer';
import { Octets, OctetsError } from './octets.ts';

export interface ClientHello {
  /** The host name asked for (RFC 6066 §3), in lower case; undefined if the client names none. */
  readonly serverName: string | undefined;
  /** Application protocols in the client's order (RFC 7301), every byte a character; empty if it offers none. */
  readonly protocols: readonly string[];
  /** Versions it offers: `supported_versions` (RFC 8446 §4.2.1) or, without that, the one it states. */
  readonly versions: readonly number[];
}

export type ParsedHello =
  | { readonly kind: 'client_hello'; readonly hello: ClientHello }
  | { readonly kind: 'bad'; readonly detail: string };

/** `body` is the handshake message without its header of four bytes. It never throws on what a peer sent. */
export function parseClientHello(body: Buffer): ParsedHello {
  try {
    return { kind: 'client_hello', hello: read(new Octets(body)) };
  } catch (error) {
    if (error instanceof OctetsError) return { kind: 'bad', detail: error.message };
    throw error;
  }
}

function read(octets: Octets): ClientHello {
  const statedVersion = octets.uint16('the version');
  // RFC 8446 §4.1.2: 0x0303 in TLS 1.3; SSL 3.0 (0x0300) and what is no version of TLS at all are refused.
  if (statedVersion >> 8 !== 3 || statedVersion === 0x0300) {
    throw new OctetsError(`the version 0x${statedVersion.toString(16)} is none of TLS`);
  }
  octets.bytes(32, 'the random');
  octets.vector8(0, 32, 'the session ID');
  const suites = octets.vector16(2, 0xfffe, 'the list of cipher suites');
  if (suites.left % 2 !== 0) throw new OctetsError('the list of cipher suites has an odd length');
  octets.vector8(1, 0xff, 'the list of compression methods');
  const found: Found = { serverName: undefined, protocols: [], versions: [statedVersion] };
  // Up to TLS 1.2 there may be no extensions at all.
  if (octets.left > 0) readExtensions(octets.vector16(0, 0xffff, 'the list of extensions'), found);
  octets.end('the hello');
  return found;
}

interface Found {
  serverName: string | undefined;
  protocols: readonly string[];
  versions: readonly number[];
}

function readExtensions(list: Octets, found: Found): void {
  const seen = new Set<number>();
  while (list.left > 0) {
    const type = list.uint16('the type of an extension');
    // RFC 8446 §4.2. Two of a kind would let us choose by the one and OpenSSL go by the other.
    if (seen.has(type)) throw new OctetsError(`the extension ${type} is there twice`);
    seen.add(type);
    const body = list.vector16(0, 0xffff, 'an extension');
    if (type === extensionServerName) found.serverName = readServerName(body);
    else if (type === extensionProtocols) found.protocols = readProtocols(body);
    else if (type === extensionVersions) found.versions = readVersions(body);
  }
}

function readServerName(body: Octets): string | undefined {
  const list = body.vector16(1, 0xffff, 'the list of server names');
  body.end('the list of server names');
  let hostName: string | undefined;
  while (list.left > 0) {
    const type = list.uint8('the type of a server name');
    const name = list.vector16(1, 0xffff, 'a server name').restText();
    if (type !== nameTypeHost) continue;
    // RFC 6066 §3: one of a type.
    if (hostName !== undefined) throw new OctetsError('there are two host names');
    if (!/^[A-Za-z0-9._:-]{1,255}$/.test(name)) {
      throw new OctetsError('the server name is no host name');
    }
    hostName = name.toLowerCase();
  }
  return hostName;
}

function readProtocols(body: Octets): readonly string[] {
  const list = body.vector16(2, 0xffff, 'the list of application protocols');
  body.end('the list of application protocols');
  const protocols: string[] = [];
  while (list.left > 0) {
    protocols.push(list.vector8(1, 0xff, 'an application protocol').restText());
  }
  return protocols;
}

function readVersions(body: Octets): readonly number[] {
  const list = body.vector8(2, 254, 'the list of versions');
  body.end('the list of versions');
  const versions: number[] = [];
  while (list.left > 0) versions.push(list.uint16('a version'));
  return versions;
}

const extensionServerName = 0;
const extensionProtocols = 16;
const extensionVersions = 43;
const nameTypeHost = 0;
