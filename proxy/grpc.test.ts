/** gRPC by grpc-js through sidecars: all four kinds, while certificates rotate, and what the proxy says itself. */

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../test/fakes/eventually.ts';
import { certificateSecret } from '../test/fakes/fake-sds.ts';
import {
  callUnaryEcho,
  type EchoClient,
  echoClient,
  type EchoServer,
  startEchoServer,
} from '../test/fakes/grpc-peers.ts';
import { ask, http2Client } from '../test/fakes/http2-peers.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { ProxyMesh, type TestSidecar } from '../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
let server: EchoServer;
let web: TestSidecar;
let orders: TestSidecar;
let client: EchoClient;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  server = await startEchoServer(mesh.scope);
  const pair = await mesh.pair(server.port, {
    protocol: 'http2',
    between: 'http2',
    upstream: 'http2',
    timeouts: { drain: '100ms', response: '1s' },
  });
  ({ web, orders } = pair);
  client = echoClient(mesh.scope, pair.port);
});
afterAll(() => mesh.close());

async function downloadAll(count: number): Promise<string[]> {
  const parts: string[] = [];
  for await (const part of client.download(Buffer.from(String(count)))) parts.push(String(part));
  return parts;
}

function upload(pieces: readonly Buffer[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = client.upload((error, value) => {
      if (error === null) resolve(value?.toString() ?? '');
      else reject(error);
    });
    for (const piece of pieces) call.write(piece);
    call.end();
  });
}

describe('the four kinds of calls', () => {
  test('unary, with trailers and a status of the server', async () => {
    expect(await callUnaryEcho(client, 'hello')).toEqual({ code: status.OK, text: 'echo hello' });
    const failed = await callUnaryEcho(client, 'fail');
    expect(failed).toMatchObject({ code: status.NOT_FOUND, details: 'no such thing: %' });
    expect(failed.trailers?.get('x-trailer')).toEqual(['kept']);
  });

  test('client streaming, more than every window', async () => {
    const pieces = Array.from({ length: 64 }, () => Buffer.alloc(50_000, 1));
    expect(await upload(pieces)).toBe(String(64 * 50_000));
  });

  test('server streaming', async () => {
    expect(await downloadAll(1000)).toEqual(Array.from({ length: 1000 }, (_, at) => String(at)));
  });

  test('both at once, message by message', async () => {
    const call = client.chat();
    const heard: string[] = [];
    const ended = new Promise((resolve) => call.on('end', resolve));
    call.on('data', (part: Buffer) => heard.push(part.toString()));
    for (let at = 0; at < 20; at += 1) {
      call.write(Buffer.from(`${at}`));
      await eventually(() => expect(heard).toHaveLength(at + 1));
    }
    call.end();
    await ended;
    expect(heard.at(-1)).toBe('19');
  });

  test('a stream may be silent for longer than the time that a response has', async () => {
    const clock = new ManualClock(Date.now());
    const sidecar = await alone(server.port, clock);
    const call = echoClient(mesh.scope, sidecar.port('in')).chat();
    const heard: string[] = [];
    call.on('error', () => {});
    call.on('data', (part: Buffer) => heard.push(part.toString()));
    call.write(Buffer.from('before'));
    await eventually(() => expect(heard).toEqual(['before']));
    // Far longer than `response`, in steps that leave the server time to answer a PING.
    for (let minute = 0; minute < 5; minute += 1) {
      await clock.advance(61_000);
      await new Promise((resolve) => setImmediate(resolve));
      await pinged(sidecar);
    }
    call.write(Buffer.from('after'));
    await eventually(() => expect(heard).toEqual(['before', 'after']));
    call.end();
    await closed(sidecar, clock);
  });
});

test('calls of all kinds go on while certificates rotate, and none fails', async () => {
  const failures: unknown[] = [];
  let calls = 0;
  const load = { isOver: false };
  const drive = async (): Promise<void> => {
    while (!load.isOver) {
      try {
        const answer = await callUnaryEcho(client, 'x');
        if (answer.code !== status.OK) failures.push(answer);
        expect(await upload([Buffer.from('abc'), Buffer.from('de')])).toBe('5');
        expect(await downloadAll(5)).toHaveLength(5);
        calls += 3;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const call = client.chat();
  call.on('error', (error) => failures.push(error));
  let heard = 0;
  call.on('data', () => {
    heard += 1;
  });
  const drivers = Array.from({ length: 4 }, drive);
  for (let round = 1; round <= 5; round += 1) {
    const before = calls;
    for (const [sidecar, id] of [
      [web, '/web'],
      [orders, '/orders'],
    ] as const) {
      const generation = (await sidecar.stats()).tlsGeneration;
      sidecar.sds?.set(certificateSecret(await mesh.pki.issueLeaf({ id })));
      await eventually(async () =>
        expect((await sidecar.stats()).tlsGeneration).toBeGreaterThan(generation),
      );
    }
    call.write(Buffer.from('still there'));
    await eventually(() => expect(heard).toBe(round));
    await eventually(() => expect(calls).toBeGreaterThan(before + 12));
  }
  load.isOver = true;
  await Promise.all(drivers);
  call.end();
  expect(failures).toEqual([]);
  // New calls went over connections made under new certificates.
  const cluster = (await web.stats()).clusters['orders'] ?? {};
  expect(cluster['connectionsOpened']).toBeGreaterThan(3);
  await eventually(async () =>
    expect((await web.stats()).clusters['orders']).toMatchObject({ connectionsActive: 1 }),
  );
});

/** One sidecar in clear, whose time is ours. */
function alone(port: number, clock: ManualClock): Promise<TestSidecar> {
  const config = {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http2',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${port}`], protocol: 'http2' }],
    timeouts: { drain: '10ms', response: '60s', idle: '10m' },
  };
  return mesh.sidecar(undefined, config, clock);
}

/** Its drain waits by the clock that is ours. */
async function closed(sidecar: TestSidecar, clock: ManualClock): Promise<void> {
  const closing = sidecar.proxy.close();
  await clock.advance(1000);
  await closing;
}

/** What was sent before has come round: each call goes the same way as the PING. */
async function pinged(sidecar: TestSidecar): Promise<void> {
  const probe = echoClient(mesh.scope, sidecar.port('in'));
  expect(await callUnaryEcho(probe, 'x')).toMatchObject({ code: status.OK });
  probe.close();
}

describe('the end of a call', () => {
  test('cancelling reaches the server, whatever the kind', async () => {
    // grpc-js says so of every call that ends; none of these ends by itself.
    server.cancelled.length = 0;
    const unary = client.unary(Buffer.from('hang'), {}, () => {});
    const download = client.download(Buffer.from('0'));
    const chat = client.chat();
    const upload1 = client.upload(() => {});
    for (const call of [download, chat]) call.on('error', () => {});
    chat.write(Buffer.from('x'));
    upload1.write(Buffer.from('x'));
    await new Promise((resolve) => chat.once('data', resolve));
    for (const call of [unary, download, chat, upload1]) call.cancel();
    await eventually(() =>
      expect(server.cancelled.toSorted()).toEqual(['chat', 'download', 'unary', 'upload']),
    );
  });

  test('the time that the client allows is the call’s, and is passed on', async () => {
    const seen = server.metadata.length;
    server.cancelled.length = 0;
    const answer = await callUnaryEcho(client, 'hang', { deadline: Date.now() + 300 });
    expect(answer.code).toBe(status.DEADLINE_EXCEEDED);
    expect(server.metadata).toHaveLength(seen + 1);
    await eventually(() => expect(server.cancelled).toEqual(['unary']));
  });
});

test('the proxy ends a call itself whose time is over, and leaves the server', async () => {
  const clock = new ManualClock(Date.now());
  const sidecar = await alone(server.port, clock);
  server.cancelled.length = 0;
  const before = server.metadata.length;
  const session = http2Client(mesh.scope, sidecar.port('in'));
  const hang = Buffer.from('\0\0\0\0\x04hang', 'latin1');
  const answer = ask(
    session,
    {
      ':method': 'POST',
      ':path': '/test.Echo/Unary',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '10S',
    },
    hang,
  );
  await eventually(() => expect(server.metadata).toHaveLength(before + 1));
  await clock.advance(9000);
  expect(server.cancelled).not.toContain('unary');
  await clock.advance(2000);
  expect((await answer).headers).toMatchObject({
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': String(status.DEADLINE_EXCEEDED),
    'grpc-message': 'the time that the client allows is over',
  });
  await eventually(() => expect(server.cancelled).toContain('unary'));
  session.destroy();
  await closed(sidecar, clock);
});

describe('what the proxy says itself is a gRPC status', () => {
  test('no server: UNAVAILABLE, with the reason', async () => {
    const gone = await mesh.server(() => {});
    gone.close();
    const { inPort } = await mesh.plain(gone.port, { protocol: 'http2', upstream: 'http2' });
    const answer = await callUnaryEcho(echoClient(mesh.scope, inPort), 'x');
    expect(answer).toMatchObject({
      code: status.UNAVAILABLE,
      details: 'no connection to cluster app: the endpoint does not accept connections',
    });
  });

  test('no route: UNIMPLEMENTED', async () => {
    const sidecar = await mesh.sidecar(undefined, {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'http2',
          routes: [{ prefix: '/other', cluster: 'app' }],
        },
      ],
      clusters: [{ name: 'app', endpoints: [`127.0.0.1:${server.port}`], protocol: 'http2' }],
    });
    const answer = await callUnaryEcho(echoClient(mesh.scope, sidecar.port('in')), 'x');
    expect(answer).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: 'no route matches this path',
    });
    expect((await sidecar.stats()).listeners['in']).toMatchObject({ responses4xx: 1 });
  });

  test('a server that dies in the middle of a stream: UNAVAILABLE behind what it had sent', async () => {
    const dying = await startEchoServer(mesh.scope);
    const { inPort } = await mesh.plain(dying.port, { protocol: 'http2', upstream: 'http2' });
    const call = echoClient(mesh.scope, inPort).chat();
    const heard: string[] = [];
    call.on('data', (part: Buffer) => heard.push(part.toString()));
    const failed = new Promise<{ code?: number }>((resolve) => call.on('error', resolve));
    call.write(Buffer.from('x'));
    await eventually(() => expect(heard).toEqual(['x']));
    dying.close();
    expect(await failed).toMatchObject({ code: status.UNAVAILABLE });
  });
});

test('the server learns who called', async () => {
  await callUnaryEcho(client, 'hello');
  expect(server.metadata.at(-1)?.get('x-forwarded-client-cert')).toEqual([
    'URI=spiffe://mesh.test/web',
  ]);
});
