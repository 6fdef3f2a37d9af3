/** Where a connection went before the kernel's NAT sent it to us: `SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST`. */

import { Buffer } from 'node:buffer';
import { isIPv6, type Socket } from 'node:net';
import { descriptorOf, readSocketOption } from './socket-option.ts';

/** Undefined if the kernel followed no NAT for the connection, or if it is closed. */
export function readOriginalDestination(
  socket: Socket,
): { readonly host: string; readonly port: number } | undefined {
  const descriptor = descriptorOf(socket);
  const { localAddress } = socket;
  if (descriptor === undefined || localAddress === undefined) return undefined;
  // A dual-stack socket shows IPv4 as `::ffff:10.0.0.1`; NAT knows it as IPv4.
  const isWide = isIPv6(localAddress) && !localAddress.toLowerCase().startsWith('::ffff:');
  const address = Buffer.alloc(isWide ? sockaddr6Bytes : sockaddr4Bytes);
  const level = isWide ? levelIpv6 : levelIp;
  if (readSocketOption(descriptor, level, optionOriginalDst, address) < address.length) {
    return undefined;
  }
  return { host: hostOf(address), port: address.readUInt16BE(2) };
}

/** ip(7), ipv6(7): the family, the port, then for IPv6 the flow information, then the address. */
function hostOf(address: Buffer): string {
  if (address.length === sockaddr4Bytes) return address.subarray(4, 8).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => address.readUInt16BE(8 + at * 2));
  return groups.map((group) => group.toString(16)).join(':');
}

const levelIp = 0;
const levelIpv6 = 41;
// linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h: the same number in both.
const optionOriginalDst = 80;
const sockaddr4Bytes = 16;
const sockaddr6Bytes = 28;
