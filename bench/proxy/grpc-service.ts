/**
 * The gRPC service behind the hop, a process of its own: answers every unary call with one frame. It reads no more
 * of HTTP/2 than where a request ends, so that it costs as little as it can. nginx is no such service: it answers
 * before it has read the request, and then resets the stream, which no gRPC server does.
 *
 * Argument: the port.
 */

import { createServer, type Socket } from 'node:net';
import { grpcReply } from './grpc-frame.ts';

function serve(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  let prefaceLeft = prefaceLength;
  let window = initialWindow;
  let received = 0;
  const waiting: number[] = [];
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.write(frame(types.settings, 0, 0, settings));
  socket.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    if (rest.length < prefaceLeft) return;
    let at = prefaceLeft;
    prefaceLeft = 0;
    const out: Buffer[] = [];
    while (at + headLength <= rest.length) {
      const end = at + headLength + rest.readUIntBE(at, 3);
      if (end > rest.length) break;
      const [type = 0, flags = 0] = rest.subarray(at + 3, at + 5);
      const stream = rest.readUInt32BE(at + 5);
      const payload = rest.subarray(at + headLength, end);
      at = end;
      if (type === types.data) received += payload.length;
      if (type === types.data || type === types.headers) {
        if ((flags & endStream) !== 0) waiting.push(stream);
      } else if (type === types.windowUpdate) {
        if (stream === 0) window += payload.readUInt32BE();
      } else if ((type === types.settings || type === types.ping) && (flags & ack) === 0) {
        out.push(frame(type, ack, 0, type === types.ping ? payload : Buffer.alloc(0)));
      }
    }
    rest = rest.subarray(at);
    if (received > initialWindow / 2) {
      const increment = Buffer.alloc(4);
      increment.writeUInt32BE(received);
      out.push(frame(types.windowUpdate, 0, 0, increment));
      received = 0;
    }
    while (window >= grpcReply.length) {
      const stream = waiting.shift();
      if (stream === undefined) break;
      window -= grpcReply.length;
      out.push(answerTo(stream));
    }
    if (out.length > 0) socket.write(Buffer.concat(out));
  });
}

function answerTo(stream: number): Buffer {
  const answer = Buffer.from(answerToStream0);
  for (const at of answerFrames) answer.writeUInt32BE(stream, at + 5);
  return answer;
}

/** RFC 9113 §4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(headLength);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const types = { data: 0, headers: 1, settings: 4, ping: 6, windowUpdate: 8 };
const endStream = 0x01;
const ack = 0x01;
const endHeaders = 0x04;
const headLength = 9;
const prefaceLength = 24;
// RFC 9113 §6.9.2: of a connection, and of a stream for which no setting says otherwise.
const initialWindow = 65_535;
// SETTINGS_MAX_CONCURRENT_STREAMS, as many as all clients of the load have: one connection may carry them.
const settings = Buffer.from('000300000100', 'hex');
// RFC 7541: an indexed `:status: 200`, and literals that are not indexed, so that no state is kept.
const head = Buffer.from('\u0088\u000f\u0010\u0010application/grpc', 'latin1');
const trailers = Buffer.from('\0\u000bgrpc-status\u00010', 'latin1');
const frames = [
  frame(types.headers, endHeaders, 0, head),
  frame(types.data, 0, 0, Buffer.from(grpcReply, 'latin1')),
  frame(types.headers, endHeaders | endStream, 0, trailers),
];
const answerToStream0 = Buffer.concat(frames);
const answerFrames = frames.map((_, at) => Buffer.concat(frames.slice(0, at)).length);

createServer(serve).listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
