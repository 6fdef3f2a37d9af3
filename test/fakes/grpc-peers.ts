/** gRPC by grpc-js at both ends: a service with one method of each kind, and a client of it. */

import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { Scope } from '../../core/index.ts';

const same = (bytes: Buffer): Buffer => bytes;
const plain = {
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

export const echoService = {
  unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...plain },
  upload: { path: '/test.Echo/Upload', requestStream: true, responseStream: false, ...plain },
  download: { path: '/test.Echo/Download', requestStream: false, responseStream: true, ...plain },
  chat: { path: '/test.Echo/Chat', requestStream: true, responseStream: true, ...plain },
} as const;

export interface EchoServer {
  readonly port: number;
  /** Calls that grpc-js says are over, by their client's wish or by themselves; of unary ones those that hang. */
  readonly cancelled: string[];
  /** Of each unary call. */
  readonly metadata: Metadata[];
  close(): void;
}

/** `unary` fails where it is asked to by its text; `download` counts; `chat` echoes. */
export async function startEchoServer(scope: Scope): Promise<EchoServer> {
  const cancelled: string[] = [];
  const metadata: Metadata[] = [];
  const server = new Server();
  server.addService(echoService, {
    unary(call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) {
      metadata.push(call.metadata);
      const text = call.request.toString();
      if (text === 'hang') call.on('cancelled', () => cancelled.push('unary'));
      const trailers = new Metadata();
      trailers.set('x-trailer', 'kept');
      if (text === 'fail')
        reply({ code: status.NOT_FOUND, details: 'no such thing: %', metadata: trailers });
      else if (text !== 'hang') reply(null, Buffer.from(`echo ${text}`), trailers);
    },
    upload(call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) {
      let bytes = 0;
      call.on('data', (part: Buffer) => {
        bytes += part.length;
      });
      call.on('cancelled', () => cancelled.push('upload'));
      call.on('end', () => reply(null, Buffer.from(String(bytes))));
    },
    download(call: ServerWritableStream<Buffer, Buffer>) {
      const count = Number(call.request.toString());
      call.on('cancelled', () => cancelled.push('download'));
      for (let at = 0; at < count; at += 1) call.write(Buffer.from(String(at)));
      if (count > 0) call.end();
    },
    chat(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (part: Buffer) => call.write(part));
      call.on('cancelled', () => cancelled.push('chat'));
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  scope.onClose(() => server.forceShutdown());
  return { port, cancelled, metadata, close: () => server.forceShutdown() };
}

/** Calls of {@link echoService}. */
export class EchoClient {
  readonly #client: Client;

  constructor(port: number) {
    const options = { 'grpc.enable_retries': 0 };
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  }

  unary(
    request: Buffer,
    options: { deadline?: number },
    done: (error: ServiceError | null, value?: Buffer) => void,
  ): ClientUnaryCall {
    const { path } = echoService.unary;
    return this.#client.makeUnaryRequest(path, same, same, request, new Metadata(), options, done);
  }

  upload(done: (error: ServiceError | null, value?: Buffer) => void): ClientWritableStream<Buffer> {
    return this.#client.makeClientStreamRequest(echoService.upload.path, same, same, done);
  }

  download(request: Buffer): ClientReadableStream<Buffer> {
    return this.#client.makeServerStreamRequest(echoService.download.path, same, same, request);
  }

  chat(): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(echoService.chat.path, same, same);
  }

  close(): void {
    this.#client.close();
  }
}

export function echoClient(scope: Scope, port: number): EchoClient {
  const client = new EchoClient(port);
  scope.onClose(() => client.close());
  return client;
}

export interface UnaryOutcome {
  readonly text?: string;
  readonly code: number;
  readonly details?: string;
  readonly trailers?: Metadata;
}

export function callUnaryEcho(
  client: EchoClient,
  text: string,
  options: { deadline?: number } = {},
): Promise<UnaryOutcome> {
  return new Promise((resolve) => {
    client.unary(Buffer.from(text), options, (error, value) => {
      if (error === null) resolve({ code: status.OK, text: value?.toString() ?? '' });
      else resolve({ code: error.code, details: error.details, trailers: error.metadata });
    });
  });
}
