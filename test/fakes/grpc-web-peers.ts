/** gRPC-Web by Connect, to a service of grpc-js: both ends of a bridge that nobody here wrote. */

import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { fileDesc, type GenService, serviceDesc } from '@bufbuild/protobuf/codegenv2';
import {
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
  StringValueSchema,
} from '@bufbuild/protobuf/wkt';
import { type Client, createClient } from '@connectrpc/connect';
import {
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import {
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import type { Scope } from '../../core/index.ts';

type Text = typeof StringValueSchema;

const textType = '.google.protobuf.StringValue';
const descriptor = create(FileDescriptorProtoSchema, {
  name: 'test/words.proto',
  package: 'test',
  syntax: 'proto3',
  dependency: ['google/protobuf/wrappers.proto'],
  service: [
    {
      name: 'Words',
      method: [
        { name: 'Say', inputType: textType, outputType: textType },
        { name: 'Count', inputType: textType, outputType: textType, serverStreaming: true },
      ],
    },
  ],
});

/** As protoc-gen-es would have written it. */
const words: GenService<{
  say: { methodKind: 'unary'; input: Text; output: Text };
  count: { methodKind: 'server_streaming'; input: Text; output: Text };
}> = serviceDesc(
  fileDesc(Buffer.from(toBinary(FileDescriptorProtoSchema, descriptor)).toString('base64'), [
    file_google_protobuf_wrappers,
  ]),
  0,
);

export type WordsClient = Client<typeof words>;

/** A client of `test.Words` at a port of this machine. */
export function wordsClient(port: number, httpVersion: '1.1' | '2'): WordsClient {
  return createClient(
    words,
    createGrpcWebTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion }),
  );
}

/** The same by gRPC itself, which Connect speaks over HTTP/2. */
export function grpcWordsClient(port: number): WordsClient {
  return createClient(words, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
}

/** The same by Connect's own protocol, which is plain requests and streams of HTTP. */
export function connectWordsClient(port: number, httpVersion: '1.1' | '2'): WordsClient {
  return createClient(
    words,
    createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion }),
  );
}

/** A server of Connect's own protocol, over HTTP/1.1 and cleartext HTTP/2 on two ports. */
export async function startConnectServer(
  scope: Scope,
): Promise<{ readonly http1: number; readonly http2: number }> {
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(words, {
        say: ({ value }) => ({ value: `said ${value}` }),
        async *count({ value }) {
          for (let at = 1; at <= Number(value); at += 1) yield { value: String(at) };
        },
      });
    },
  });
  const listening = async (server: HttpServer | Http2Server): Promise<number> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.onClose(() => void server.close());
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  };
  return {
    http1: await listening(createHttpServer(handler)),
    http2: await listening(createHttp2Server(handler)),
  };
}

export interface WordsServer {
  readonly port: number;
  readonly cancelled: string[];
  /** Of each unary call. */
  readonly metadata: Metadata[];
  /** Messages that `Count` has handed to its stream. */
  readonly written: number;
  close(): void;
}

/**
 * `Say` answers `said …`, fails where it is told to fail, and hangs where it is told to; `Count` sends that many messages as fast as
 * they are taken, or one and no end for 0.
 */
export async function startWordsServer(scope: Scope): Promise<WordsServer> {
  const cancelled: string[] = [];
  const metadata: Metadata[] = [];
  let written = 0;
  const server = new Server();
  server.addService(wordsService, {
    say(call: ServerUnaryCall<string, string>, reply: sendUnaryData<string>) {
      metadata.push(call.metadata);
      if (call.request === 'hang') {
        call.on('cancelled', () => cancelled.push('say'));
        return;
      }
      const head = new Metadata();
      head.set('x-head', 'kept');
      const trailers = new Metadata();
      trailers.set('x-trailer', 'kept');
      const details = 'no such thing: %é';
      if (call.request === 'fail') {
        reply({ code: status.NOT_FOUND, details, metadata: trailers });
        return;
      }
      call.sendMetadata(head);
      reply(null, `said ${call.request}`, trailers);
    },
    count(call: ServerWritableStream<string, string>) {
      const [count = '', size = '1'] = call.request.split('*');
      call.on('cancelled', () => cancelled.push('count'));
      let at = 0;
      const pump = (): void => {
        while (at < Number(count)) {
          at += 1;
          written += 1;
          if (!call.write(String(at).padStart(Number(size), '0'))) {
            call.once('drain', pump);
            return;
          }
        }
        call.end();
      };
      if (Number(count) === 0) call.write('0');
      else pump();
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const close = (): void => server.forceShutdown();
  scope.onClose(close);
  return {
    port,
    cancelled,
    metadata,
    close,
    get written() {
      return written;
    },
  };
}

/** One message of gRPC, as it stands in a body of gRPC-Web. */
export function messageFrame(text: string): Buffer {
  const message = serialize(text);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The messages of a body, and the lines of its last frame. */
export function readFrames(body: Buffer): { messages: string[]; trailers: string | undefined } {
  const messages: string[] = [];
  let trailers: string | undefined;
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    const content = body.subarray(at + 5, end);
    if (trailers !== undefined) throw new Error('something stands behind the trailers');
    if (body[at] === 0x80) trailers = content.toString('latin1');
    else messages.push(deserialize(content));
    at = end;
  }
  return { messages, trailers };
}

function serialize(value: string): Buffer {
  return Buffer.from(toBinary(StringValueSchema, create(StringValueSchema, { value })));
}

function deserialize(bytes: Buffer): string {
  return fromBinary(StringValueSchema, bytes).value;
}

const texts = {
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
};
const wordsService = {
  say: { path: '/test.Words/Say', requestStream: false, responseStream: false, ...texts },
  count: { path: '/test.Words/Count', requestStream: false, responseStream: true, ...texts },
} as const;
