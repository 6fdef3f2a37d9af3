/** An upstream that writes down what reaches it, read by a plain parser that is none of the proxies'. */

import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Closable } from '../../core/index.ts';

/** A request as far as two proxies must agree on it. `body` is without its framing. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

export interface Seen {
  readonly requests: readonly SeenRequest[];
  /** The bytes of each whole request, as they came. */
  readonly raw: readonly string[];
  /** Bytes of requests that never became whole. */
  readonly partial: string;
}

/** Answers each whole request with 200 and nothing, or CONNECT with 403, and keeps its connections. */
export class RecordingUpstream implements Closable {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;
  readonly #connections: RecordedConnection[] = [];

  private constructor(server: ReturnType<typeof createServer>, port: number) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket) => this.#connections.push(new RecordedConnection(socket)));
  }

  static async start(): Promise<RecordingUpstream> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new RecordingUpstream(server, (server.address() as AddressInfo).port);
  }

  /** Whether every connection is closed, or waits for a request that has not begun. */
  get isQuiet(): boolean {
    return this.#connections.every(({ isQuiet }) => isQuiet);
  }

  /** What was seen since the last call, in the order in which the requests became whole. */
  take(): Seen {
    const seen = this.#connections.flatMap((connection) => connection.take());
    seen.sort((left, right) => left.order - right.order);
    const partial = this.#connections.map((connection) => connection.takePartial()).join('');
    return {
      requests: seen.map(({ request }) => request),
      raw: seen.map(({ raw }) => raw),
      partial,
    };
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const connection of this.#connections) connection.destroy();
  }
}

interface Recorded {
  readonly order: number;
  readonly request: SeenRequest;
  readonly raw: string;
}

let recordedCount = 0;

class RecordedConnection {
  readonly #socket: Socket;
  #text = '';
  #recorded: Recorded[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      this.#text += bytes.toString('latin1');
      this.#read();
    });
  }

  get isQuiet(): boolean {
    return this.#text === '' || this.#socket.destroyed;
  }

  take(): readonly Recorded[] {
    const recorded = this.#recorded;
    this.#recorded = [];
    return recorded;
  }

  takePartial(): string {
    const partial = this.#text;
    if (this.#socket.destroyed) this.#text = '';
    return partial;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(): void {
    for (let read = readRequest(this.#text); read !== undefined; read = readRequest(this.#text)) {
      const raw = this.#text.slice(0, read.length);
      this.#text = this.#text.slice(read.length);
      recordedCount += 1;
      this.#recorded.push({ order: recordedCount, request: read.request, raw });
      const status = read.request.method === 'CONNECT' ? '403 Forbidden' : '200 OK';
      this.#socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
    }
  }
}

/** The first request of the text, if it is whole. What proxies write is plain enough for this. */
function readRequest(
  text: string,
): { readonly request: SeenRequest; readonly length: number } | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const [line = '', ...fields] = text.slice(0, headEnd).split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  const start = headEnd + 4;
  const body = fields.some((field) => /^transfer-encoding:[ \t]*chunked[ \t]*$/i.test(field))
    ? readChunks(text, start)
    : readLength(text, start, fields);
  if (body === undefined) return undefined;
  return { request: { method, target, body: body.text }, length: body.end };
}

interface Body {
  readonly text: string;
  readonly end: number;
}

function readLength(text: string, start: number, fields: readonly string[]): Body | undefined {
  const value = fields.map((field) => /^content-length:[ \t]*(\d+)[ \t]*$/i.exec(field)?.[1]);
  const end = start + Number(value.find((each) => each !== undefined) ?? 0);
  return text.length < end ? undefined : { text: text.slice(start, end), end };
}

function readChunks(text: string, start: number): Body | undefined {
  let body = '';
  for (let at = start; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) {
      // The trailer section is lines up to an empty one.
      const end = text.startsWith('\r\n', at) ? at : text.indexOf('\r\n\r\n', at) + 2;
      return end === 1 || !text.startsWith('\r\n', end) ? undefined : { text: body, end: end + 2 };
    }
    if (text.length < at + size + 2) return undefined;
    body += text.slice(at, at + size);
    at += size + 2;
  }
}
