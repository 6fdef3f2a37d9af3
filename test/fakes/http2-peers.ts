/** Node's own HTTP/2 at both ends of a proxy: a client and a server that nobody here wrote. */

import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Scope } from '../../core/index.ts';

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: IncomingHttpHeaders | undefined;
  /** Of the RST_STREAM that ended it; 0 for none. */
  readonly resetCode: number;
}

export interface Http2TestServer {
  readonly port: number;
  readonly server: Http2Server;
  /** Connections that were accepted. */
  readonly sessions: Set<unknown>;
}

/** A server in clear, by prior knowledge. */
export async function http2Server(
  scope: Scope,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  settings: Settings = {},
): Promise<Http2TestServer> {
  const server = createServer({ ...generous, settings });
  const sessions = new Set<unknown>();
  const live = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    live.add(session);
    session.on('error', () => {});
    session.on('close', () => live.delete(session));
  });
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.onClose(() => {
    for (const session of live) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server, sessions };
}

export function http2Client(scope: Scope, port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`, generous);
  session.on('error', () => {});
  scope.onClose(() => session.destroy());
  return session;
}

/** One request and everything that came back, however it ended. */
export function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Buffer,
  trailers?: OutgoingHttpHeaders,
): Promise<Http2Answer> {
  return new Promise((resolve) => {
    const stream = session.request(headers, {
      endStream: body === undefined,
      waitForTrailers: trailers !== undefined,
    });
    let answered: IncomingHttpHeaders = {};
    let trailed: IncomingHttpHeaders | undefined;
    const parts: Buffer[] = [];
    stream.on('response', (received) => {
      answered = received;
    });
    stream.on('trailers', (received) => {
      trailed = received;
    });
    if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', () => {});
    stream.on('close', () =>
      resolve({
        status: Number(answered[':status'] ?? 0),
        headers: answered,
        body: Buffer.concat(parts).toString('latin1'),
        trailers: trailed,
        resetCode: stream.rstCode ?? 0,
      }),
    );
    if (body !== undefined) stream.end(body);
  });
}

// Node gives up a session that holds more than 10 MB, and sends no head above 64 KiB; both are for the
// proxy to bound here.
const generous = { maxSessionMemory: 1000, maxSendHeaderBlockLength: 512 * 1024 };
