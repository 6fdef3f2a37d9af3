/** One gRPC stream on a connection of its own to a Unix socket, with as little as can be between it and its bytes. */

import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';

export interface UnixStream {
  /** One message. */
  send(message: Uint8Array): void;
  /** There will be no other: a call with one request is served only then. */
  finish(): void;
  close(): void;
}

export function openUnixStream(p: {
  readonly socket: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onMessage: (message: Buffer, stream: UnixStream) => void;
  readonly onFailure: (error: Error) => void;
}): UnixStream {
  const socket = connect(p.socket);
  const session = connectHttp2('http://localhost', {
    createConnection: () => socket,
    // Above what a whole mesh of secrets takes: flow control is not what is measured.
    settings: { initialWindowSize: windowBytes },
  });
  session.once('connect', () => session.setLocalWindowSize(windowBytes));
  const stream = session.request({
    ':method': 'POST',
    ':path': p.path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...p.headers,
  });
  let closed = false;
  const fail = (error: Error): void => {
    if (!closed) p.onFailure(error);
  };
  session.on('error', fail);
  stream.on('error', fail);
  const ended = (headers: IncomingHttpHeaders): void => {
    const status = headers['grpc-status'];
    if (status !== undefined)
      fail(new Error(`status ${String(status)}: ${String(headers['grpc-message'])}`));
  };
  // A call that is refused at once has its status in the only headers there are.
  stream.on('response', ended);
  stream.on('trailers', ended);
  let pending: Buffer[] = [];
  let length = 0;
  const opened: UnixStream = {
    send: (message) => void stream.write(frameOf(message)),
    finish: () => void stream.end(),
    close() {
      closed = true;
      session.destroy();
      socket.destroy();
    },
  };
  stream.on('data', (chunk: Buffer) => {
    pending.push(chunk);
    length += chunk.length;
    while (length >= headerBytes) {
      // Joined only when a whole message is there: a large one comes in hundreds of pieces.
      const [first] = pending;
      if (first === undefined) return;
      const head = first.length >= headerBytes ? first : Buffer.concat(pending);
      const end = headerBytes + head.readUInt32BE(1);
      if (length < end) return;
      const all = pending.length === 1 ? first : Buffer.concat(pending);
      pending = all.length === end ? [] : [all.subarray(end)];
      length -= end;
      p.onMessage(all.subarray(headerBytes, end), opened);
    }
  });
  return opened;
}

/** A call with an empty request and one answer. Rejects with the status of one that is refused. */
export function callOnce(socket: string, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = openUnixStream({
      socket,
      path,
      onMessage(message, answered) {
        answered.close();
        resolve(message);
      },
      onFailure(error) {
        stream.close();
        reject(error);
      },
    });
    stream.send(new Uint8Array());
    stream.finish();
  });
}

/** The values of one length-delimited field at the top of a message; nothing else of it is read. */
export function fieldsOf(message: Uint8Array, wanted: number): Uint8Array[] {
  return valuesOf(message, wanted).filter((value) => typeof value !== 'number');
}

/** The same of a field of whole numbers below 2^32. */
export function integersOf(message: Uint8Array, wanted: number): number[] {
  return valuesOf(message, wanted).filter((value) => typeof value === 'number');
}

function valuesOf(message: Uint8Array, wanted: number): (number | Uint8Array)[] {
  const found: (number | Uint8Array)[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = message[at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value >>> 0;
  };
  while (at < message.length) {
    const key = varint();
    const isWanted = key >>> 3 === wanted;
    if ((key & 7) === 0) {
      const value = varint();
      if (isWanted) found.push(value);
      continue;
    }
    if ((key & 7) !== 2) break;
    const length = varint();
    if (isWanted) found.push(message.subarray(at, at + length));
    at += length;
  }
  return found;
}

function frameOf(message: Uint8Array): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

const headerBytes = 5;
const windowBytes = 32 * 1024 * 1024;
