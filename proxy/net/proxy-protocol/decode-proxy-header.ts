/** Reads a PROXY protocol header of either version, however it is split. It sees no socket. */

import { Buffer } from 'node:buffer';
import { isIPv4, isIPv6 } from 'node:net';
import { ipText } from '../address.ts';
import {
  commandLocal,
  commandProxy,
  familyTcp4,
  familyTcp6,
  type ProxyHeader,
  signature2,
} from './proxy-header.ts';

export type DecodedProxyHeader =
  | { readonly kind: 'need_more' }
  /** `length` bytes were the header; what follows is the connection's own. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number }
  | { readonly kind: 'bad'; readonly detail: string };

/** `bytes` are all that has come so far. It never throws on what a peer sent. */
export function decodeProxyHeader(bytes: Buffer): DecodedProxyHeader {
  if (begins(bytes, signature2)) return decode2(bytes);
  if (begins(bytes, signature1)) return decode1(bytes);
  return bad('the connection does not begin with a PROXY header');
}

/** Whether `bytes` are, or may become, something that begins with `signature`. */
function begins(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

/** §2.1: one line of text, `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` and CR LF. */
function decode1(bytes: Buffer): DecodedProxyHeader {
  const window = bytes.subarray(0, line1BytesMax);
  const end = window.indexOf('\r\n');
  if (end === -1) {
    return bytes.length >= line1BytesMax ? bad(`its line is longer than ${line1BytesMax}`) : more;
  }
  const line = window.toString('latin1', 0, end);
  const length = end + 2;
  const [, family, source = '', destination = '', sourcePort, destinationPort, rest] =
    line.split(' ');
  // What follows UNKNOWN must be ignored, whatever it is.
  if (family === 'UNKNOWN') return { kind: 'header', header: { kind: 'local' }, length };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined;
  if (isAddress === undefined) return bad('its family is none of TCP4, TCP6 and UNKNOWN');
  // A zone would name an interface of another machine.
  if (![source, destination].every((text) => isAddress(text) && !text.includes('%'))) {
    return bad(`it states an address that is none of ${family}`);
  }
  const ports = [portOf(sourcePort), portOf(destinationPort)];
  const [from, to] = ports;
  if (from === undefined || to === undefined || rest !== undefined) {
    return bad('its ports are not two numbers up to 65535');
  }
  const endpoints = {
    source: { host: source, port: from },
    destination: { host: destination, port: to },
  };
  return { kind: 'header', header: { kind: 'proxied', endpoints }, length };
}

function portOf(text: string | undefined): number | undefined {
  // No leading zeros, as §2.1 writes numbers.
  if (text === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

/** §2.2: the signature, a version and a command, a family, a length, then addresses and what else there is. */
function decode2(bytes: Buffer): DecodedProxyHeader {
  const command = bytes[12];
  if (command !== undefined && command !== commandLocal && command !== commandProxy) {
    return bad(`its version and command are 0x${command.toString(16)}`);
  }
  if (command === undefined || bytes.length < header2Bytes) return more;
  const bodyLength = bytes.readUInt16BE(14);
  if (bodyLength > body2BytesMax) {
    return bad(`it has ${bodyLength} bytes of addresses, and ${body2BytesMax} are allowed`);
  }
  const length = header2Bytes + bodyLength;
  if (bytes.length < length) return more;
  const header = command === commandLocal ? local : addresses2(bytes.subarray(13, length));
  return header.kind === 'bad' ? header : { kind: 'header', header, length };
}

/** `bytes` begin with the family's byte and the two of the length. What follows the addresses (TLVs) is skipped. */
function addresses2(bytes: Buffer): ProxyHeader | { kind: 'bad'; detail: string } {
  const family = bytes[0] ?? 0;
  // §2.2: of families it does not know a receiver may use the socket's addresses.
  if (family !== familyTcp4 && family !== familyTcp6) return local;
  const width = family === familyTcp4 ? 4 : 16;
  const body = bytes.subarray(3);
  if (body.length < 2 * width + 4) return bad('it is too short for its addresses');
  const endpoints = {
    source: { host: ipText(body.subarray(0, width)), port: body.readUInt16BE(2 * width) },
    destination: {
      host: ipText(body.subarray(width, 2 * width)),
      port: body.readUInt16BE(2 * width + 2),
    },
  };
  return { kind: 'proxied', endpoints };
}

function bad(detail: string): { readonly kind: 'bad'; readonly detail: string } {
  return { kind: 'bad', detail };
}

const more: DecodedProxyHeader = Object.freeze({ kind: 'need_more' });
const local: ProxyHeader = Object.freeze({ kind: 'local' });
const signature1 = Buffer.from('PROXY ', 'latin1');

// §2.1: the longest line, CR LF included, has 107 bytes.
const line1BytesMax = 107;
const header2Bytes = 16;
// Unix addresses take 216 bytes and the TLVs of a TLS terminator some hundred; 64 KiB are for nobody.
const body2BytesMax = 2048;
