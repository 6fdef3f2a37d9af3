/** Where a connection comes from and goes to, and the bytes of an IP address. */

import { Buffer } from 'node:buffer';
import { isIPv4, isIPv6 } from 'node:net';

export interface Address {
  /** A host name or an IP address; empty for a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** Both ends of a connection, as the client sees them. */
export interface Endpoints {
  readonly source: Address;
  readonly destination: Address;
  /** Where a connection was going that the kernel redirected to us; undefined if it came to us by itself. */
  readonly original?: Address | undefined;
}

export const noAddress: Address = Object.freeze({ host: '', port: 0 });

/** For a log; a Unix socket has no address. */
export function addressText({ host, port }: Address): string {
  return host === '' ? 'unix' : `${host}:${port}`;
}

/** An IPv4 address that a dual-stack socket shows as `::ffff:10.0.0.1` in its own form; else the text itself. */
export function plainHost(host: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1];
  return mapped ?? host;
}

/** As a socket states it; one of a Unix socket states nothing. */
export function addressOf(host: string | undefined, port: number | undefined): Address {
  return host === undefined ? noAddress : { host: plainHost(host), port: port ?? 0 };
}

/** 4 or 16 bytes; undefined for what is no IP address. A zone (`%eth0`) is left out. */
export function ipBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  const [address = ''] = text.split('%');
  if (!isIPv6(address)) return undefined;
  const [head = '', tail] = withHexTail(address).split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const gap = Array.from({ length: 8 - left.length - right.length }, () => 0);
  const bytes = Buffer.alloc(16);
  [...left, ...gap, ...right].forEach((group, at) => bytes.writeUInt16BE(group, at * 2));
  return bytes;
}

/** Whether both are the same port of the same address, however it is written. */
export function isSameAddress(left: Address, right: Address): boolean {
  const bytes = ipBytes(plainHost(left.host));
  const others = ipBytes(plainHost(right.host));
  const isSameHost =
    bytes === undefined || others === undefined ? left.host === right.host : bytes.equals(others);
  return isSameHost && left.port === right.port;
}

/** The text of 4 or 16 bytes. IPv6 comes without abbreviation of zeros, an IPv4-mapped address as IPv4. */
export function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.subarray(0, 12).equals(mappedPrefix)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16));
  return groups.join(':');
}

/** Who counts as one source: an IPv4 address, or the /64 of an IPv6 one, which is what one host is given. */
export function sourceKey(host: string): string {
  const bytes = ipBytes(host);
  return bytes?.length === 16 ? bytes.toString('hex', 0, 8) : host;
}

/** `::ffff:10.0.0.1` with its last four bytes as two groups. */
function withHexTail(text: string): string {
  const at = text.lastIndexOf(':');
  const last = text.slice(at + 1);
  if (!isIPv4(last)) return text;
  const hex = Buffer.from(last.split('.').map(Number)).toString('hex');
  return `${text.slice(0, at + 1)}${hex.slice(0, 4)}:${hex.slice(4)}`;
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');
