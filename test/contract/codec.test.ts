/** What every codec promises, each as far as its pool mode goes. */

import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Codec, MultiplexCodec } from '../../proxy/protocol/codec.ts';
import { detectBytesMax } from '../../proxy/protocol/detect/protocol-matcher.ts';
import { http1Codec } from '../../proxy/protocol/http1/http1-codec.ts';
import { makeField } from '../../proxy/protocol/http2/field.ts';
import { http2Codec } from '../../proxy/protocol/http2/http2-codec.ts';
import type { Http2Stream } from '../../proxy/protocol/http2/http2-stream.ts';
import { Http2Session, type SessionEvents } from '../../proxy/protocol/http2/session.ts';
import { tcpCodec } from '../../proxy/protocol/tcp/tcp-codec.ts';
import { protocols } from '../../proxy/proxy/protocols.ts';
import { toyCodec, type ToyExchange, toyFrame, ToySession, toyType } from '../fakes/toy-codec.ts';

const beginnings = {
  http1: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  http2: Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  toy: toyFrame(toyType.request, 7, Buffer.from('hello')),
  tcp: Buffer.from('220 ready\r\n'),
};
const codecs: readonly Codec[] = [http1Codec, http2Codec, toyCodec, tcpCodec];

describe.for(codecs)('$name', (codec) => {
  test.for(Object.entries(beginnings))(
    'says yes or no to the beginning of %s, and nothing else on the way there',
    ([name, bytes]) => {
      // Nothing tells TCP, so that nothing is taken for it.
      const expected = name === codec.name && name !== 'tcp' ? 'yes' : 'no';
      expect(codec.match(bytes)).toBe(expected);
      for (let length = 1; length < bytes.length; length += 1) {
        expect(['need_more', expected]).toContain(codec.match(bytes.subarray(0, length)));
      }
    },
  );

  test('makes up its mind in the end', () => {
    for (const octet of [0x00, 0x20, 0x41, 0x50, 0xee, 0xff]) {
      expect(codec.match(Buffer.alloc(detectBytesMax, octet))).not.toBe('need_more');
    }
  });

  test('has what its pool mode needs, and nothing that it lacks', () => {
    const has = {
      codes: codec.decode !== undefined && codec.encode !== undefined,
      replies: codec.localReply !== undefined,
      hasIds: codec.requestId !== undefined,
    };
    const needed = {
      multiplex: { codes: true, replies: true, hasIds: true },
      ping_pong: { codes: true, replies: true, hasIds: false },
      binding: { codes: false, replies: false, hasIds: false },
    };
    expect(has).toEqual(needed[codec.poolMode]);
    if (codec.poolMode === 'multiplex') expect(codec.heartbeat).toBeDefined();
  });
});

test('the table of the proxy has each name once', () => {
  const names = protocols.map(({ codec }) => codec.name);
  expect([...new Set(names)]).toEqual(names);
  expect(names).toEqual(['http2', 'http1']);
});

test('HTTP/1.1: what is encoded is decoded, and so is a reply of our own', () => {
  const requests = http1Codec.decode.requests();
  requests.push(beginnings.http1);
  const head = requests.next();
  if (head.kind !== 'head') throw new Error(head.kind);
  const again = http1Codec.decode.requests();
  again.push(http1Codec.encode.requestHead(head.head, {}));
  expect(again.next()).toMatchObject({ kind: 'head', head: { method: 'GET', path: '/' } });
  const responses = http1Codec.decode.responses();
  responses.expect('GET');
  responses.push(http1Codec.localReply({ status: 503, body: 'no' }));
  expect(responses.next()).toMatchObject({ kind: 'head', head: { status: 503 } });
  expect(responses.next()).toMatchObject({ kind: 'data', bytes: Buffer.from('no') });
  expect(responses.next()).toMatchObject({ kind: 'end' });
});

/** A client and a server of one multiplex codec, back to back. */
interface Link<Session, Exchange> {
  readonly codec: MultiplexCodec<Session, Exchange>;
  readonly client: Session;
  readonly server: Session;
  /** Begins a call at the client. */
  call(): Exchange;
  /** Calls that the server has seen, and answers that the client has. */
  readonly calls: Exchange[];
  readonly answers: string[];
}

describe('multiplex', () => {
  test('http2', () => checkLink(http2Link()));
  test('toy', () => checkLink(toyLink()));
});

function checkLink<Session, Exchange>(link: Link<Session, Exchange>): void {
  const { codec, client, server, calls, answers } = link;
  const carry = (from: Session, to: Session): number => {
    let bytes = 0;
    for (const part of codec.encode(from)) {
      // One octet at a time, since nothing is promised about how bytes are split.
      for (let at = 0; at < part.length; at += 1)
        codec.decode(to, Buffer.from(part.subarray(at, at + 1)));
      bytes += part.length;
    }
    return bytes;
  };
  const settle = (): void => {
    while (carry(client, server) + carry(server, client) > 0);
  };
  settle();
  const asked = [link.call(), link.call(), link.call()];
  settle();
  // IDs tell exchanges apart, and both sides mean the same by one.
  const ids = asked.map((exchange) => codec.requestId(exchange));
  expect(new Set(ids).size).toBe(3);
  expect(calls.map((exchange) => codec.requestId(exchange))).toEqual(ids);
  // A heartbeat is answered by the codec of the other side, and nobody else hears of it.
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    codec.heartbeat.probe(from);
    expect(carry(from, to)).toBeGreaterThan(0);
    expect(carry(to, from)).toBeGreaterThan(0);
    expect(carry(from, to)).toBe(0);
  }
  expect(calls).toHaveLength(3);
  // Answers may come in any order.
  for (const at of [2, 0]) {
    const exchange = calls[at];
    if (exchange === undefined) throw new Error('there is no such call');
    codec.localReply(exchange, { status: 503, fields: [], body: `no ${at}` }, false);
  }
  settle();
  expect(answers).toEqual([`${ids[2]}: 503 no 2`, `${ids[0]}: 503 no 0`]);
  // What was taken is not given again.
  expect(codec.encode(server)).toEqual([]);
}

function toyLink(): Link<ToySession, ToyExchange> {
  const calls: ToyExchange[] = [];
  const answers: string[] = [];
  const onFault = (detail: string): never => {
    throw new Error(detail);
  };
  const server = new ToySession({ onFault, onCall: (exchange) => void calls.push(exchange) });
  const client = new ToySession({
    onFault,
    onCall: ({ id }, payload) => void answers.push(`${id}: ${payload.toString()}`),
  });
  const call = (): ToyExchange => {
    const exchange = client.open();
    client.send(toyType.request, exchange.id, 'x');
    return exchange;
  };
  return { codec: toyCodec, client, server, call, calls, answers };
}

function http2Link(): Link<Http2Session, Http2Stream> {
  const calls: Http2Stream[] = [];
  const answers: string[] = [];
  const events: SessionEvents = {
    onRequest: (stream) => void calls.push(stream),
    onOversizedRequest() {},
    onOutput() {},
    onReady() {},
    onGoaway() {},
    onIdle() {},
    onFault: ({ detail }) => {
      throw new Error(detail);
    },
  };
  const clock = { monotonicMs: (): number => 0 };
  const client = new Http2Session({ role: 'client', clock }, events);
  const server = new Http2Session({ role: 'server', clock }, events);
  client.start();
  server.start();
  const call = (): Http2Stream => {
    const stream = client.open();
    let answer = `${stream.id}: `;
    stream.consumer = {
      onHead: ({ status }) => {
        answer += `${status} `;
      },
      onData: (bytes) => {
        answer += bytes.toString();
      },
      onEnd: () => void answers.push(answer),
      onReset: ({ detail }) => void answers.push(detail),
      onDrain() {},
    };
    const fields = { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'a' };
    stream.sendHead(Object.entries(fields).map(([name, value]) => makeField(name, value)));
    stream.end([]);
    return stream;
  };
  return { codec: http2Codec, client, server, call, calls, answers };
}
