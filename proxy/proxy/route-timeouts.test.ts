/** What a route allows a request and each try of it, over real sockets with a clock that is turned by hand. */

import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, http2Client, http2Server } from '../../test/fakes/http2-peers.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import {
  get,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  type TestServer,
  type TestSidecar,
  until,
} from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
const clocks: ManualClock[] = [];
afterAll(async () => {
  const closing = { isOver: false };
  const closed = mesh.close().finally(() => {
    closing.isOver = true;
  });
  // A drain has a clock, too.
  while (!closing.isOver) for (const clock of clocks) await clock.advance(100);
  await closed;
});

interface Lane {
  readonly clock: ManualClock;
  readonly sidecar: TestSidecar;
  readonly port: number;
  readonly counters: () => Promise<Record<string, number>>;
}

async function lane(
  ports: readonly number[],
  route: Record<string, unknown>,
  cluster: Record<string, unknown> = {},
): Promise<Lane> {
  const clock = new ManualClock(0);
  clocks.push(clock);
  const sidecar = await mesh.sidecar(
    undefined,
    {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'auto',
          routes: [{ prefix: '/', cluster: 'app', ...route }],
        },
      ],
      clusters: [{ name: 'app', endpoints: ports.map((port) => `127.0.0.1:${port}`), ...cluster }],
      timeouts: { drain: '1ms' },
    },
    clock,
  );
  const counters = async (): Promise<Record<string, number>> =>
    (await sidecar.stats()).listeners['in'] ?? {};
  return { clock, sidecar, port: sidecar.port('in'), counters };
}

/** A server that takes requests and says nothing before it is told to. */
async function silent(): Promise<TestServer & { readonly asked: Socket[] }> {
  const asked: Socket[] = [];
  const server = await mesh.server((socket) => socket.on('data', () => void asked.push(socket)));
  return { ...server, asked };
}

describe('a route with a timeout', () => {
  test('answers for a server that does not, and leaves it', async () => {
    const app = await silent();
    const { port, clock, counters, sidecar } = await lane([app.port], { timeout: '2s' });
    let status = 0;
    const answer = get(port, '/').then((got) => {
      ({ status } = got);
      return got;
    });
    await until(() => app.asked.length === 1);
    await clock.advance(1900);
    expect(status).toBe(0);
    await clock.advance(1000);
    expect((await answer).body).toBe('the time that the route allows is over\n');
    expect(status).toBe(504);
    await until(() => app.sockets[0]?.destroyed === true || app.sockets[0]?.readableEnded === true);
    expect(await counters()).toMatchObject({ requestTimeouts: 1, retries: 0, responsesCutOff: 0 });
    await clock.advance(1000);
    expect(sidecar.log[0]).toContain('"fault":"the time that the route allows is over"');
  });

  test('passes an answer in time, and nothing comes after it', async () => {
    const app = await silent();
    const { port, clock, counters } = await lane([app.port], { timeout: '2s' });
    const client = new RawClient(port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => app.asked.length === 1);
    await clock.advance(1900);
    app.asked[0]?.write(okResponse('whole'));
    await client.read((text) => text.endsWith('whole'));
    await clock.advance(5000);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => app.asked.length === 2);
    app.asked[1]?.write(okResponse('again'));
    await client.read((text) => text.endsWith('again'));
    expect(await counters()).toMatchObject({ requestTimeouts: 0, responses2xx: 2 });
    client.close();
  });

  test('cuts off an answer that goes on for too long, however it drips', async () => {
    const app = await silent();
    const { port, clock, counters } = await lane([app.port], { timeout: '3s' });
    const client = new RawClient(port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => app.asked.length === 1);
    app.asked[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n');
    for (let drops = 1; drops <= 2; drops += 1) {
      await clock.advance(1000);
      app.asked[0]?.write('.');
      await client.read((text) => text.endsWith('.'.repeat(drops)));
    }
    await clock.advance(2000);
    await until(() => client.isClosed || client.isEnded);
    expect(client.text).toMatch(/\r\n\r\n\.\.$/);
    expect(await counters()).toMatchObject({ requestTimeouts: 1, responsesCutOff: 1 });
    client.close();
  });

  test('does not count how long the client takes for its request', async () => {
    let received = '';
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        received += bytes.toString('latin1');
        if (received.endsWith('12')) socket.write(okResponse('thanks'));
      });
    });
    const { port, clock, counters } = await lane([app.port], { timeout: '2s' });
    const client = new RawClient(port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1');
    await until(() => received.endsWith('1'));
    await clock.advance(20_000);
    expect(client.isClosed || client.isEnded).toBe(false);
    client.send('2');
    await client.read((text) => text.endsWith('thanks'));
    expect(await counters()).toMatchObject({ requestTimeouts: 0, responses2xx: 1 });
    client.close();
  });

  test('lets a tunnel go on', async () => {
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const app = await mesh.server((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`);
        socket.on('data', (bytes) => socket.write(bytes));
      });
    });
    const { port, clock, counters } = await lane([app.port], { timeout: '2s' });
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.1\r\nHost: a\r\n${upgrade}`);
    await client.read((text) => text.endsWith('\r\n\r\n'));
    await clock.advance(60_000);
    client.send('echo');
    await client.read((text) => text.endsWith('echo'));
    expect(await counters()).toMatchObject({ requestTimeouts: 0, tunnelsActive: 1 });
    client.close();
  });

  test('counts the wait for a connection', async () => {
    const app = await silent();
    const one = await lane([app.port], { timeout: '2s' }, { connectionsMax: 1 });
    const first = get(one.port, '/');
    await until(() => app.asked.length === 1);
    const second = get(one.port, '/');
    let seen = await one.counters();
    while (seen['requests'] !== 2) seen = await one.counters();
    await one.clock.advance(3000);
    expect([(await first).status, (await second).status]).toEqual([504, 504]);
    expect(await one.counters()).toMatchObject({ requestTimeouts: 2 });
    expect((await one.sidecar.stats()).clusters['app']).toMatchObject({ waitTimeouts: 0 });
  });
});

describe('a route with a timeout for each try', () => {
  test('asks another endpoint in the place of one that is silent', async () => {
    const app = await silent();
    const other = await mesh.server(scripted(() => okResponse('other')));
    const timeouts = { timeout: '10s', perTryTimeout: '2s' };
    const { port, clock, counters } = await lane([app.port, other.port], timeouts);
    const answer = get(port, '/');
    await until(() => app.asked.length === 1);
    await clock.advance(3000);
    expect(await answer).toMatchObject({ status: 200, body: 'other' });
    expect(await counters()).toMatchObject({ tryTimeouts: 1, retries: 1, requestTimeouts: 0 });
  });

  test('asks nobody else where that might do a thing twice', async () => {
    const app = await silent();
    const other = await mesh.server(scripted(() => okResponse('other')));
    const { port, clock, counters } = await lane([app.port, other.port], { perTryTimeout: '2s' });
    const answer = get(port, '/', { method: 'POST', body: 'once' });
    await until(() => app.asked.length > 0);
    await clock.advance(3000);
    expect(await answer).toMatchObject({
      status: 504,
      body: 'the time that the route allows a try is over\n',
    });
    expect(other.sockets).toHaveLength(0);
    expect(await counters()).toMatchObject({ tryTimeouts: 1, retries: 0 });
  });

  test('lets an answer that has begun take its time', async () => {
    const app = await silent();
    const { port, clock, counters } = await lane([app.port], { perTryTimeout: '2s' });
    const client = new RawClient(port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => app.asked.length === 1);
    app.asked[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl');
    await client.read((text) => text.endsWith('sl'));
    await clock.advance(20_000);
    app.asked[0]?.write('ow');
    await client.read((text) => text.endsWith('slow'));
    expect(await counters()).toMatchObject({ tryTimeouts: 0, responses2xx: 1 });
    client.close();
  });
});

test.for([
  ['the route', '10S', 'the time that the route allows is over', 'requestTimeouts'],
  ['the client', '1S', 'the time that the client allows is over', 'grpcTimeouts'],
] as const)(
  'of two deadlines of a call that of %s is heeded where it is shorter',
  async ([, allowed, message, counter]) => {
    let resets = 0;
    let asked = 0;
    const app = await http2Server(mesh.scope, (stream) => {
      asked += 1;
      stream.on('close', () => {
        resets += 1;
      });
    });
    const one = await lane([app.port], { timeout: '2s' }, { protocol: 'http2' });
    const answer = ask(
      http2Client(mesh.scope, one.port),
      {
        ':method': 'POST',
        ':path': '/test.Echo/Unary',
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-timeout': allowed,
      },
      Buffer.from('\0\0\0\0\0', 'latin1'),
    );
    await until(() => asked === 1);
    await one.clock.advance(4000);
    const { headers } = await answer;
    expect(headers['grpc-status']).toBe('4');
    expect(headers['grpc-message']).toBe(message);
    await until(() => resets === 1);
    const counts = { requestTimeouts: 0, grpcTimeouts: 0, [counter]: 1 };
    expect(await one.counters()).toMatchObject(counts);
  },
);
