/** As much of RFC 6455 as an echo needs: the opening handshake, frames, ping, and the closing handshake. */

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** For the `upgrade` event of a server of `node:http`. Every message goes back as it came. */
export function echoWebSocket(request: IncomingMessage, socket: Duplex, first: Buffer): void {
  const key = request.headers['sec-websocket-key'] ?? '';
  // RFC 6455 §4.2.2: the value that shows that the handshake was understood.
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\n\r\n`,
  );
  let buffered = first;
  const read = (): void => {
    for (let frame = readFrame(buffered); frame !== undefined; frame = readFrame(buffered)) {
      buffered = buffered.subarray(frame.length);
      const { opcode, payload, isFinal } = frame;
      if (opcode === opcodes.close) {
        socket.end(writeFrame(opcode, payload, true));
        return;
      }
      socket.write(writeFrame(opcode === opcodes.ping ? opcodes.pong : opcode, payload, isFinal));
    }
  };
  socket.on('error', () => {});
  socket.on('end', () => socket.end());
  socket.on('data', (bytes: Buffer) => {
    buffered = Buffer.concat([buffered, bytes]);
    read();
  });
  read();
}

interface Frame {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly payload: Buffer;
  readonly length: number;
}

/** A frame of a client, which is masked (RFC 6455 §5.2). */
function readFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const [head = 0, short = 0] = bytes;
  const size = short & 0x7f;
  const lengthBytes = size === 126 ? 2 : size === 127 ? 8 : 0;
  const maskAt = 2 + lengthBytes;
  if (bytes.length < maskAt + 4) return undefined;
  const payloadLength =
    lengthBytes === 0
      ? size
      : lengthBytes === 2
        ? bytes.readUInt16BE(2)
        : Number(bytes.readBigUInt64BE(2));
  const start = maskAt + 4;
  const length = start + payloadLength;
  if (bytes.length < length) return undefined;
  const payload = Buffer.from(bytes.subarray(start, length));
  for (let at = 0; at < payload.length; at += 1) {
    payload[at] = (payload[at] ?? 0) ^ (bytes[maskAt + (at % 4)] ?? 0);
  }
  return { opcode: head & 0x0f, isFinal: (head & 0x80) !== 0, payload, length };
}

function writeFrame(opcode: number, payload: Buffer, isFinal: boolean): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = opcode | (isFinal ? 0x80 : 0);
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

const opcodes = { close: 8, ping: 9, pong: 10 } as const;
