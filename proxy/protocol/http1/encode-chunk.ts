/** Bodies in the chunked coding (RFC 9112 §7.1). */

import { Buffer } from 'node:buffer';
import type { Fields } from '../fields.ts';
import { HeaderBlock } from './header-block.ts';

/** One chunk, framing and data in one buffer. Without data there is no chunk: an empty one would end the body. */
export function encodeChunk(data: Buffer): Buffer {
  if (data.length === 0) return data;
  const size = `${data.length.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(size.length + data.length + crlf.length);
  chunk.write(size, 0, 'latin1');
  data.copy(chunk, size.length);
  chunk.write(crlf, size.length + data.length, 'latin1');
  return chunk;
}

/** The end of a chunked body, with the trailer fields that were received if there are any. */
export function lastChunk(trailers?: Fields): Buffer {
  if (trailers === undefined || trailers.count === 0) return plainEnd;
  const lines =
    trailers instanceof HeaderBlock
      ? trailers.raw.subarray(trailers.fields[0], trailers.fieldsEnd)
      : Buffer.from(linesOf(trailers), 'latin1');
  return Buffer.concat([Buffer.from('0\r\n', 'latin1'), lines, Buffer.from(crlf, 'latin1')]);
}

/** Fields that another protocol brought, whose codec has found that no name or value could end a line. */
function linesOf(trailers: Fields): string {
  let lines = '';
  for (const [name, value] of trailers.entries()) lines += `${name}: ${value}\r\n`;
  return lines;
}

const crlf = '\r\n';
// Shared by all connections, and so never to be written to.
const plainEnd = Buffer.from('0\r\n\r\n', 'latin1');
