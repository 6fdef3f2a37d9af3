/** What a server says by resetting a stream, and what its client is told, before the response and in the middle of it. */

import { status as grpcStatus } from '@grpc/grpc-js';
import { Buffer } from 'node:buffer';
import { constants } from 'node:http2';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, http2Client } from '../../test/fakes/http2-peers.ts';
import { ProxyMesh, type TestSidecar } from '../../test/fakes/proxy-mesh.ts';
import { errorCode } from '../protocol/http2/error-code.ts';
import { makeField } from '../protocol/http2/field.ts';
import type { Http2Stream } from '../protocol/http2/http2-stream.ts';
import { Http2Session } from '../protocol/http2/session.ts';

let mesh: ProxyMesh;
let sidecar: TestSidecar & { readonly inPort: number };
let seen = 0;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  const app = await mesh.server(serve);
  sidecar = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
});
afterAll(() => mesh.close());

/** `/before/CODE` and `/amid/CODE` end by that code: Node's own server ends the response before it resets. */
function serve(socket: Socket): void {
  const nothing = (): void => {};
  const flush = (): void => {
    for (const part of session.takeOutput()) socket.write(part);
  };
  const session = new Http2Session(
    { role: 'server', clock: { monotonicMs: () => 0 } },
    {
      onRequest: (stream, head) => {
        seen += 1;
        const [, when, code] = head.path.split('/');
        const type = head.headers.get('content-type') ?? 'text/plain';
        if (when === 'before') return resetBy(stream, Number(code));
        stream.sendHead([makeField(':status', '200'), makeField('content-type', type)]);
        stream.send(Buffer.from(code === undefined ? 'whole' : 'half'));
        if (code === undefined) stream.end();
        else resetBy(stream, Number(code));
      },
      onOversizedRequest: nothing,
      onOutput: () => setImmediate(flush),
      onReady: nothing,
      onGoaway: nothing,
      onIdle: nothing,
      onFault: nothing,
    },
  );
  socket.on('data', (bytes: Buffer) => session.receive(bytes));
  session.start();
}

function resetBy(stream: Http2Stream, code: number): void {
  const known = Object.values(errorCode).find((each) => each === code);
  if (known !== undefined) stream.reset(known);
}

interface Row {
  readonly name: string;
  readonly code: number;
  /** Of the stream to the client, where its response had begun. */
  readonly passed: number;
  readonly status: number;
  readonly grpc: number;
}

const {
  NGHTTP2_CANCEL: cancel,
  NGHTTP2_REFUSED_STREAM: refused,
  NGHTTP2_ENHANCE_YOUR_CALM: calm,
  NGHTTP2_INADEQUATE_SECURITY: insecure,
  NGHTTP2_INTERNAL_ERROR: internal,
  NGHTTP2_PROTOCOL_ERROR: protocol,
  NGHTTP2_HTTP_1_1_REQUIRED: http11,
} = constants;
const { CANCELLED, UNAVAILABLE, RESOURCE_EXHAUSTED, PERMISSION_DENIED, INTERNAL } = grpcStatus;

// gRPC's own table is its HTTP/2 transport mapping.
const rows: readonly Row[] = [
  { name: 'CANCEL', code: cancel, passed: cancel, status: 502, grpc: CANCELLED },
  // Once something of the response has come it is not true that nothing was done.
  { name: 'REFUSED_STREAM', code: refused, passed: internal, status: 503, grpc: UNAVAILABLE },
  { name: 'ENHANCE_YOUR_CALM', code: calm, passed: calm, status: 502, grpc: RESOURCE_EXHAUSTED },
  // These speak of the hop behind us.
  {
    name: 'INADEQUATE_SECURITY',
    code: insecure,
    passed: internal,
    status: 502,
    grpc: PERMISSION_DENIED,
  },
  { name: 'HTTP_1_1_REQUIRED', code: http11, passed: internal, status: 502, grpc: INTERNAL },
  { name: 'PROTOCOL_ERROR', code: protocol, passed: internal, status: 502, grpc: INTERNAL },
  { name: 'INTERNAL_ERROR', code: internal, passed: internal, status: 502, grpc: INTERNAL },
];

describe('a server that resets by', () => {
  test.for(rows)('$name', async ({ code, passed, status, grpc }) => {
    const client = http2Client(mesh.scope, sidecar.inPort);
    const before = await ask(client, { ':path': `/before/${code}` });
    expect(before).toMatchObject({ status, resetCode: 0 });
    const amid = await ask(client, { ':path': `/amid/${code}` });
    expect(amid).toMatchObject({ status: 200, body: 'half', resetCode: passed });
    const call = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
    const callBefore = await ask(client, { ...call, ':path': `/before/${code}` });
    expect(callBefore.headers).toMatchObject({ ':status': 200, 'grpc-status': String(grpc) });
    const callAmid = await ask(client, { ...call, ':path': `/amid/${code}` });
    expect(callAmid).toMatchObject({ status: 200, body: 'half', resetCode: 0 });
    expect(callAmid.trailers).toMatchObject({ 'grpc-status': String(grpc) });
    // The connection, and the one behind it, go on.
    expect(await ask(client, { ':path': '/amid' })).toMatchObject({ body: 'whole', resetCode: 0 });
    client.close();
  });
});

test('only what the server says it has not looked at is sent to it again', async () => {
  const client = http2Client(mesh.scope, sidecar.inPort);
  // So that the connection has been used before.
  await ask(client, { ':path': '/amid' });
  seen = 0;
  await ask(client, { ':path': `/before/${cancel}` });
  expect(seen).toBe(1);
  await ask(client, { ':path': `/before/${refused}` });
  expect(seen).toBe(3);
  client.close();
});
