/** Trailers as the last frame of a gRPC-Web body (PROTOCOL-WEB.md): a browser shows its scripts no others. */

import { Buffer } from 'node:buffer';

/** Names are in lower case. Values come from a codec, or are our own, and have no byte that could end a line. */
export function trailerFrame(fields: Iterable<readonly [name: string, value: string]>): Buffer {
  let block = '';
  for (const [name, value] of fields) block += `${name}: ${value}\r\n`;
  const frame = Buffer.allocUnsafe(prefixLength + block.length);
  frame[0] = trailersFlag;
  frame.writeUInt32BE(block.length, 1);
  frame.write(block, prefixLength, 'latin1');
  return frame;
}

// A flag and a length, as before every message of gRPC.
const prefixLength = 5;
const trailersFlag = 0x80;
