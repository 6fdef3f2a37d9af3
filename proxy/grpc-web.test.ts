/** gRPC-Web by Connect and by hand through sidecars, to a server of grpc-js that knows gRPC alone. */

import { Buffer } from 'node:buffer';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../test/fakes/eventually.ts';
import {
  messageFrame,
  readFrames,
  startWordsServer,
  type WordsClient,
  wordsClient,
  type WordsServer,
} from '../test/fakes/grpc-web-peers.ts';
import { http2Server } from '../test/fakes/http2-peers.ts';
import {
  get,
  type HttpAnswer,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  settled,
} from '../test/fakes/proxy-mesh.ts';

const timeouts = { drain: '100ms', idle: '60s', response: '60s' };
const bridging = { protocol: 'auto', upstream: 'http2', grpcWeb: true, timeouts } as const;

let mesh: ProxyMesh;
let server: WordsServer;
let port: number;
let alone: number;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  server = await startWordsServer(mesh.scope);
  ({ port } = await mesh.pair(server.port, { ...bridging, between: 'http2' }));
  alone = (await mesh.plain(server.port, bridging)).inPort;
});
afterAll(() => mesh.close());

async function countAll(client: WordsClient, value: string): Promise<string[]> {
  const heard: string[] = [];
  for await (const message of client.count({ value })) heard.push(message.value);
  return heard;
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error('the call did not fail');
}

describe.for(['1.1', '2'] as const)('Connect over HTTP/%s, through two sidecars', (version) => {
  let client: WordsClient;
  beforeAll(() => {
    client = wordsClient(port, version);
  });

  test('a unary call has its head, its message and its trailers', async () => {
    let head: Headers | undefined;
    let trailers: Headers | undefined;
    const answer = await client.say(
      { value: 'hello' },
      {
        headers: { 'x-asked': 'yes' },
        onHeader: (received) => {
          head = received;
        },
        onTrailer: (received) => {
          trailers = received;
        },
      },
    );
    expect(answer.value).toBe('said hello');
    expect(head?.get('x-head')).toBe('kept');
    expect(trailers?.get('x-trailer')).toBe('kept');
    expect(server.metadata.at(-1)?.get('x-asked')).toEqual(['yes']);
    expect(server.metadata.at(-1)?.get('x-forwarded-client-cert')).toEqual([
      'URI=spiffe://mesh.test/web',
    ]);
  });

  test('a status of the server comes with its words', async () => {
    const failure = await failureOf(client.say({ value: 'fail' }));
    expect(failure).toMatchObject({ code: Code.NotFound, rawMessage: 'no such thing: %é' });
    expect(failure.metadata.get('x-trailer')).toBe('kept');
  });

  test('a stream of the server comes whole, and one after the other', async () => {
    const expected = Array.from({ length: 2000 }, (_, at) => String(at + 1).padStart(500, '0'));
    expect(await countAll(client, '2000*500')).toEqual(expected);
    expect(await countAll(client, '3')).toEqual(['1', '2', '3']);
  });

  test('a message does not wait for the next; leaving reaches the server', async () => {
    const before = server.cancelled.filter((kind) => kind === 'count').length;
    const leaving = new AbortController();
    const messages = client.count({ value: '0' }, { signal: leaving.signal });
    const failed = failureOf(
      (async () => {
        for await (const { value } of messages) {
          expect(value).toBe('0');
          leaving.abort();
        }
      })(),
    );
    expect(await failed).toMatchObject({ code: Code.Canceled });
    await eventually(() =>
      expect(server.cancelled.filter((kind) => kind === 'count').length).toBeGreaterThan(before),
    );
  });

  test('the time that the client allows is the call’s', async () => {
    const before = server.cancelled.filter((kind) => kind === 'say').length;
    const failure = await failureOf(client.say({ value: 'hang' }, { timeoutMs: 300 }));
    expect(failure.code).toBe(Code.DeadlineExceeded);
    await eventually(() =>
      expect(server.cancelled.filter((kind) => kind === 'say').length).toBeGreaterThan(before),
    );
  });

  test('what the proxy says itself is a status in the last frame', async () => {
    const gone = await mesh.server(() => {});
    gone.close();
    const { inPort } = await mesh.plain(gone.port, bridging);
    const failure = await failureOf(wordsClient(inPort, version).say({ value: 'x' }));
    expect(failure).toMatchObject({
      code: Code.Unavailable,
      rawMessage: 'no connection to cluster app: the endpoint does not accept connections',
    });
  });

  test('a server that dies is UNAVAILABLE behind what it had sent', async () => {
    const dying = await startWordsServer(mesh.scope);
    const { inPort } = await mesh.plain(dying.port, bridging);
    const heard: string[] = [];
    const failed = failureOf(
      (async () => {
        for await (const { value } of wordsClient(inPort, version).count({ value: '0' })) {
          heard.push(value);
          dying.close();
        }
      })(),
    );
    expect(await failed).toMatchObject({ code: Code.Unavailable });
    expect(heard).toEqual(['0']);
  });
});

function post(
  to: number,
  type: string,
  body: string,
  path = '/test.Words/Say',
): Promise<HttpAnswer> {
  const headers = { 'content-type': type };
  return get(to, path, { method: 'POST', headers, body });
}

describe('text', () => {
  const type = 'application/grpc-web-text+proto';
  const frame = messageFrame('hello');

  test.for([1, 2, 3, 5, 100])('a request padded every %i bytes is one message', async (size) => {
    let body = '';
    for (let at = 0; at < frame.length; at += size) {
      body += frame.subarray(at, at + size).toString('base64');
    }
    const answer = await post(alone, type, body);
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': type } });
    expect(readFrames(textOf(answer.body))).toEqual({
      messages: ['said hello'],
      trailers: expect.stringContaining('grpc-status: 0\r\n') as string,
    });
  });

  test('a client that accepts bytes is sent bytes', async () => {
    const headers = { 'content-type': type, accept: 'application/grpc-web+proto' };
    const body = frame.toString('base64');
    const answer = await get(alone, '/test.Words/Say', { method: 'POST', headers, body });
    expect(answer.headers['content-type']).toBe('application/grpc-web+proto');
    expect(readFrames(Buffer.from(answer.body, 'latin1')).messages).toEqual(['said hello']);
  });

  test.for([
    ['not base64', '!!!!', 'the body of the request is not base64, as its gRPC-Web type says'],
    ['cut off', 'AAAAA', 'the body of the request ends in the middle of a group of base64'],
  ] as const)('a body that is %s is refused in the last frame', async ([, body, message]) => {
    const answer = await post(alone, type, body);
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/grpc-web-text' },
    });
    expect(readFrames(textOf(answer.body))).toEqual({
      messages: [],
      trailers: `grpc-status: 13\r\ngrpc-message: ${message}\r\n`,
    });
  });
});

/** Of pieces that are padded each. */
function textOf(text: string): Buffer {
  const groups = text.match(/.{4}/g) ?? [];
  expect(groups.join('')).toBe(text);
  return Buffer.concat(groups.map((group) => Buffer.from(group, 'base64')));
}

test('a connection serves call after call', async () => {
  const client = new RawClient(alone);
  const call = (path: string): string => {
    const frame = messageFrame('x').toString('base64');
    return `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text\r\nContent-Length: ${frame.length}\r\n\r\n${frame}`;
  };
  for (let count = 1; count <= 3; count += 1) {
    client.send(call('/test.Words/Say'));
    await client.read((text) => text.split('0\r\n\r\n').length === count + 1);
  }
  expect(client.text.match(/HTTP\/1\.1 200/g)).toHaveLength(3);
  client.close();
});

test('a client that reads nothing holds the server back', async () => {
  const before = server.written;
  const client = new RawClient(alone);
  client.socket.pause();
  const frame = messageFrame('100000*1000').toString('latin1');
  client.send(
    `POST /test.Words/Count HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\nContent-Length: ${frame.length}\r\n\r\n${frame}`,
  );
  await eventually(() => expect(server.written).toBeGreaterThan(before));
  const written = (await settled(() => server.written)) - before;
  // 100 MB are there to send; sockets and windows hold a few.
  expect(written).toBeLessThan(50_000);
  client.socket.resume();
  await eventually(() => expect(server.written - before).toBeGreaterThan(written));
  client.close();
});

describe('what is no gRPC', () => {
  test('a response of something else goes through as it came', async () => {
    const other = await http2Server(mesh.scope, (stream) => {
      stream.respond({ ':status': 503, 'content-type': 'text/html' });
      stream.end('<p>busy');
    });
    const { inPort } = await mesh.plain(other.port, bridging);
    expect(await post(inPort, 'application/grpc-web', '')).toMatchObject({
      status: 503,
      headers: { 'content-type': 'text/html' },
      body: '<p>busy',
    });
  });

  test('such a response that breaks off is cut off, and not ended', async () => {
    const other = await http2Server(mesh.scope, (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'text/html' });
      stream.write('<p>half', () => stream.session?.destroy());
    });
    const { inPort } = await mesh.plain(other.port, bridging);
    await expect(post(inPort, 'application/grpc-web', '')).rejects.toThrow();
  });

  test('a cluster of HTTP/1.1 is sent gRPC-Web as it is', async () => {
    const heads: string[] = [];
    const app = await mesh.server(
      scripted((head) => {
        heads.push(head.toLowerCase());
        return okResponse('');
      }),
    );
    const sidecar = await mesh.sidecar(undefined, {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'http1',
          grpcWeb: true,
          routes: [
            { prefix: '/test.Words', cluster: 'words' },
            { prefix: '/', cluster: 'app' },
          ],
        },
      ],
      clusters: [
        { name: 'app', endpoints: [`127.0.0.1:${app.port}`] },
        { name: 'words', endpoints: [`127.0.0.1:${server.port}`], protocol: 'http2' },
      ],
      timeouts: { drain: '10ms' },
    });
    await post(sidecar.port('in'), 'application/grpc-web+proto', '', '/other');
    expect(heads).toEqual([expect.stringContaining('content-type: application/grpc-web+proto')]);
    const { value } = await wordsClient(sidecar.port('in'), '1.1').say({ value: 'there' });
    expect(value).toBe('said there');
  });

  test('without grpcWeb the server is asked as the client asks', async () => {
    const types: unknown[] = [];
    const app = await http2Server(mesh.scope, (stream, headers) => {
      types.push(headers['content-type']);
      stream.respond({ ':status': 200 });
      stream.end();
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http1', upstream: 'http2' });
    await post(inPort, 'application/grpc-web', '');
    const bridged = await mesh.plain(app.port, bridging);
    await post(bridged.inPort, 'application/grpc-web', '');
    expect(types).toEqual(['application/grpc-web', 'application/grpc']);
  });
});
