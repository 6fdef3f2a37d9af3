/**
 * A peer's end that comes while its bytes still wait for room. TLS brings it so: one read from TCP may hold several
 * records and the end behind them, and a pause between two records stops neither. The connection is a real one, and
 * is told what TLS would tell it.
 */

import { Buffer } from 'node:buffer';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { afterTurn, Scope, systemClock } from '../../core/index.ts';
import { until } from '../../test/fakes/proxy-mesh.ts';
import { Connection } from '../net/connection.ts';
import { Deadlines } from '../net/deadlines.ts';
import { ReadMemory } from '../net/read-memory.ts';
import { WriteTurn } from '../net/write-turn.ts';
import { RequestDecoder } from '../protocol/http1/request-decoder.ts';
import { ResponseDecoder } from '../protocol/http1/response-decoder.ts';
import type { ResponseHead } from '../protocol/http1/response-head.ts';
import { ClientConnection } from './client-connection.ts';
import { ServerConnection } from './server-connection.ts';
import type { RequestHandler, ResponseHandler, ServerStream } from './stream.ts';

let scope = new Scope();
afterEach(async () => {
  await scope.close();
  scope = new Scope();
});

async function pairOfEnds(): Promise<{ ours: Connection; peer: Socket }> {
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true }, accepted.resolve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const socket = await accepted.promise;
  scope.onClose(() => {
    for (const each of [peer, socket]) each.destroy();
    server.close();
  });
  const reads = new ReadMemory(() => {});
  const deps = { deadlines: new Deadlines(systemClock), writes: new WriteTurn(afterTurn), reads };
  return { ours: new Connection(socket, undefined, deps, undefined), peer };
}

const upgrade = 'Connection: Upgrade\r\nUpgrade: foo\r\n\r\n';
const request = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${upgrade}`);
const switching = Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`);

describe('in a tunnel, what a peer said last and its end are told', () => {
  test.for([
    ['of a server, to a client that reads slowly', ['one', 'two', 'three']],
    ['of a server with nothing left', ['one']],
  ] as const)('%s', async ([, records]) => {
    const { ours, peer } = await pairOfEnds();
    const told: string[] = [];
    const owner = { onExchangeOver() {}, onConnectionLost: () => told.push('lost') };
    const stream = new ClientConnection(ours, 0, owner, { responseMs: 60_000, idleMs: 60_000 });
    const handler: ResponseHandler = {
      onInterimHead() {},
      onResponseHead() {},
      onResponseBody(bytes) {
        told.push(bytes.toString());
        stream.pauseResponse();
      },
      onResponseEnd: () => told.push('end'),
      onResponseFailure: ({ code }) => told.push(code),
      onRequestDrain() {},
    };
    const decoder = new RequestDecoder();
    decoder.push(request);
    const event = decoder.next();
    if (event.kind !== 'head') throw new Error('that is a request');
    stream.start({ head: event.head, edits: { upgrade: 'foo' }, scheme: 'http' }, handler);
    stream.endRequest(undefined);
    stream.onData(switching);
    // The client has ended its side first.
    stream.endRequest(undefined);
    for (const record of records) stream.onData(Buffer.from(record));
    peer.end();
    await until(() => told.includes('lost') || ours.isClosed);
    expect(told.filter((each) => each !== 'lost')).toEqual([...records, 'end']);
  });

  test.for([
    ['of a client, to a server that reads slowly', ['one', 'two', 'three']],
    ['of a client with nothing left', ['one']],
  ] as const)('%s', async ([, records]) => {
    const { ours, peer } = await pairOfEnds();
    const told: string[] = [];
    let stream: ServerStream | undefined;
    const handler: RequestHandler = {
      start() {},
      onRequestBody(bytes) {
        told.push(bytes.toString());
        stream?.pauseRequest();
      },
      onRequestEnd() {
        // Before the tunnel stands it is the end of the request that asks for it.
        if (stream === undefined) return;
        told.push('end');
        stream.endResponse(undefined);
      },
      onRequestFailure: ({ detail }) => told.push(detail),
      onClientAbort: (cause) => told.push(cause),
      onResponseDrain() {},
    };
    const connection = new ServerConnection(
      ours,
      { onRequest: () => handler, onBadRequest() {} },
      { onConnectionClosed: () => told.push('closed'), onGivenUp: (why) => told.push(why) },
      { headMs: 60_000, idleMs: 60_000, tunnelIdleMs: 60_000 },
    );
    connection.onData(request);
    connection.openTunnel(switchingHead());
    stream = connection;
    // The server has ended its side first.
    connection.endTunnel();
    for (const record of records) connection.onData(Buffer.from(record));
    peer.end();
    await until(() => told.includes('closed'));
    expect(told.filter((each) => each !== 'closed')).toEqual([...records, 'end']);
  });
});

function switchingHead(): ResponseHead {
  const decoder = new ResponseDecoder();
  decoder.expect('GET', 'foo');
  decoder.push(switching);
  const event = decoder.next();
  if (event.kind !== 'head') throw new Error('that is a response');
  return event.head;
}
