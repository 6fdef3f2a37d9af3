/** Writes a PROXY protocol header, for an upstream that wants to know who really connects. */

import { Buffer } from 'node:buffer';
import { type Endpoints, ipBytes, plainHost } from '../address.ts';
import { commandLocal, commandProxy, familyTcp4, familyTcp6, signature2 } from './proxy-header.ts';

export type ProxyProtocolVersion = 'v1' | 'v2';

/** Endpoints that are not both IP addresses, as those of a Unix socket, are told as unknown. */
export function encodeProxyHeader(version: ProxyProtocolVersion, endpoints: Endpoints): Buffer {
  const known = knownAddresses(endpoints);
  return version === 'v1' ? encode1(known) : encode2(known);
}

interface KnownAddresses {
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly endpoints: Endpoints;
}

function knownAddresses({ source, destination }: Endpoints): KnownAddresses | undefined {
  const from = ipBytes(plainHost(source.host));
  const to = ipBytes(plainHost(destination.host));
  if (from === undefined || to === undefined) return undefined;
  const endpoints = { source, destination };
  // One family for both; an IPv4 address has a form in IPv6 (RFC 4291 §2.5.5.2).
  return from.length === to.length
    ? { source: from, destination: to, endpoints }
    : { source: widened(from), destination: widened(to), endpoints };
}

function widened(bytes: Buffer): Buffer {
  return bytes.length === 16 ? bytes : Buffer.concat([mappedPrefix, bytes]);
}

function encode1(known: KnownAddresses | undefined): Buffer {
  if (known === undefined) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1');
  const { source, destination, endpoints } = known;
  const family = source.length === 4 ? 'TCP4' : 'TCP6';
  const addresses = `${textOf(source)} ${textOf(destination)}`;
  const ports = `${endpoints.source.port} ${endpoints.destination.port}`;
  return Buffer.from(`PROXY ${family} ${addresses} ${ports}\r\n`, 'latin1');
}

/** As {@link ipBytes} read it: an IPv4 address of an IPv6 line stays in the form of IPv6. */
function textOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16)).join(':');
}

function encode2(known: KnownAddresses | undefined): Buffer {
  if (known === undefined) return Buffer.concat([signature2, Buffer.from([commandLocal, 0, 0, 0])]);
  const { source, destination, endpoints } = known;
  const rest = Buffer.alloc(4);
  rest[0] = commandProxy;
  rest[1] = source.length === 4 ? familyTcp4 : familyTcp6;
  rest.writeUInt16BE(2 * source.length + 4, 2);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(endpoints.source.port, 0);
  ports.writeUInt16BE(endpoints.destination.port, 2);
  return Buffer.concat([signature2, rest, source, destination, ports]);
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');
