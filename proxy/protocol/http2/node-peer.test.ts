/** Our session as a client of Node's own HTTP/2: what either compresses, the other reads, table and all. */

import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Http2Fault } from './error-code.ts';
import { indexing, makeField } from './field.ts';
import { Http2Session, type SessionEvents } from './session.ts';

const server = createServer();
beforeAll(async () => {
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    const fields = Object.entries(headers).filter(([name]) => name.startsWith('x-'));
    // Back as fields, which Node's encoder indexes and codes by Huffman as it likes.
    stream.respond({ ':status': 200, ...Object.fromEntries(fields) });
    stream.end(String(headers[':path']));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => void server.close());

class Client implements SessionEvents {
  readonly session = new Http2Session({ role: 'client', clock: { monotonicMs: () => 0 } }, this);
  readonly socket: Socket;
  readonly ready: Promise<void>;
  fault: Http2Fault | undefined;
  #onReady = (): void => {};

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
    this.socket.on('data', (bytes) => this.session.receive(Buffer.from(bytes)));
    this.session.start();
  }

  request(fields: readonly (readonly [string, string, number])[], path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const stream = this.session.open();
      let received: (readonly [string, string])[] = [];
      let body = '';
      stream.consumer = {
        onHead: ({ headers }) => {
          received = Array.from(headers.entries()).filter(([name]) => name.startsWith('x-'));
        },
        onData: (bytes) => {
          body += bytes.toString('latin1');
        },
        onEnd: () => resolve({ body, fields: Object.fromEntries(received) }),
        onReset: ({ detail }) => reject(new Error(detail)),
        onDrain() {},
      };
      stream.sendHead([
        makeField(':method', 'GET'),
        makeField(':scheme', 'http'),
        makeField(':path', path),
        makeField(':authority', 'a.test'),
        ...fields.map(([name, value, how]) =>
          makeField(name, value, hows[how] ?? indexing.indexed),
        ),
      ]);
      stream.end();
    });
  }

  onOutput(): void {
    queueMicrotask(() => {
      for (const part of this.session.takeOutput()) this.socket.write(part);
    });
  }

  onReady(): void {
    this.#onReady();
  }

  onFault(fault: Http2Fault): void {
    this.fault = fault;
  }

  onRequest(): void {}
  onOversizedRequest(): void {}
  onGoaway(): void {}
  onIdle(): void {}
}

const hows = Object.values(indexing);
const name = fc.constantFrom('x-a', 'x-b', 'x-long-enough-to-be-worth-a-number', 'x-c', 'x-d');
const value = fc.oneof(
  fc.constantFrom('', '1', 'same again', 'a'.repeat(900)),
  fc
    .string({ unit: fc.constantFrom(...Array.from('abcXYZ019 ~!*:;,=%"')), maxLength: 40 })
    .map((text) => text.trim()),
);
const list = fc.uniqueArray(fc.tuple(name, value, fc.nat(2)), {
  selector: ([each]) => each,
  maxLength: 5,
});

test('a hundred requests on one connection come back as they were sent', async () => {
  const client = new Client((server.address() as AddressInfo).port);
  await client.ready;
  const requests = fc.sample(list, { numRuns: 100, seed: 7541 });
  for (const [at, fields] of requests.entries()) {
    const expected = Object.fromEntries(fields.map(([each, text]) => [each, text]));
    expect(await client.request(fields, `/${at}`)).toEqual({ body: `/${at}`, fields: expected });
  }
  expect(client.fault).toBeUndefined();
  client.socket.destroy();
});
