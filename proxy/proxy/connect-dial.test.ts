/** CONNECT that the proxy answers itself and dials for, over both versions of HTTP. */

import { type ClientHttp2Stream, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/fakes/eventually.ts';
import { ask, http2Client } from '../../test/fakes/http2-peers.ts';
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
let app: TestServer;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  app = await mesh.server(scripted(() => okResponse('app')));
});
afterAll(() => mesh.close());

interface Database extends TestServer {
  /** What each connection was sent, from its first byte. */
  readonly received: string[];
}

/** A server that speaks first, and echoes. */
async function database(): Promise<Database> {
  const received: string[] = [];
  const server = await mesh.server((socket) => {
    const at = received.push('') - 1;
    socket.write('welcome');
    socket.on('data', (bytes) => {
      received[at] += bytes.toString('latin1');
      socket.write(bytes);
    });
  });
  return { ...server, received };
}

function start(port: number, cluster: Record<string, unknown> = {}): Promise<TestSidecar> {
  return mesh.sidecar(undefined, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'auto',
        routes: [{ prefix: '/', cluster: 'app' }],
        connect: [{ authority: 'db.test:5432', cluster: 'db', dial: true }],
      },
    ],
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${app.port}`] },
      { name: 'db', endpoints: [`127.0.0.1:${port}`], ...cluster },
    ],
    timeouts: { drain: '50ms' },
  });
}

const counters = async (sidecar: TestSidecar): Promise<Record<string, number>> =>
  (await sidecar.stats()).listeners['in'] ?? {};

/** A client with a tunnel, of whichever version. */
interface Tunnel {
  text(): string;
  send(text: string): void;
  end(): void;
  /** `end`, or what broke it. */
  over(): Promise<string>;
}

function overHttp1(port: number, authority: string): Tunnel {
  const client = new RawClient(port);
  let error = '';
  client.socket.on('error', (cause) => {
    error = cause.message;
  });
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  return {
    text: () => client.text.replace(/^HTTP\/1\.1 200 [^]*?\r\n\r\n/, ''),
    send: (text) => client.send(text),
    end: () => void client.socket.end(),
    async over() {
      await until(() => client.isEnded || client.isClosed);
      return client.isEnded ? 'end' : error.replace(/^read /, '');
    },
  };
}

function overHttp2(port: number, authority: string): Tunnel {
  const session = http2Client(mesh.scope, port);
  const stream: ClientHttp2Stream = session.request(
    { ':method': 'CONNECT', ':authority': authority },
    { endStream: false },
  );
  let text = '';
  let isEnded = false;
  stream.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  stream.on('end', () => {
    isEnded = true;
  });
  stream.on('error', () => {});
  return {
    text: () => text,
    send: (more) => void stream.write(more),
    end: () => void stream.end(),
    async over() {
      await until(() => isEnded || stream.closed);
      const code = stream.rstCode ?? 0;
      return code === constants.NGHTTP2_CONNECT_ERROR ? 'CONNECT_ERROR' : 'end';
    },
  };
}

describe.for([
  ['HTTP/1.1', overHttp1, 'ECONNRESET'],
  ['HTTP/2', overHttp2, 'CONNECT_ERROR'],
] as const)('over %s', ([, connect, broken]) => {
  test('bytes go both ways, each direction to its own end, and the server sees nothing else', async () => {
    const db = await database();
    const sidecar = await start(db.port);
    const tunnel = connect(sidecar.port('in'), 'Db.test:5432');
    await until(() => tunnel.text() === 'welcome');
    tunnel.send('hello');
    await until(() => tunnel.text() === 'welcomehello');
    expect(await counters(sidecar)).toMatchObject({ tunnelsOpened: 1, tunnelsActive: 1 });
    tunnel.end();
    const [socket] = db.sockets;
    await until(() => socket?.readableEnded === true);
    socket?.end(' bye');
    expect(await tunnel.over()).toBe('end');
    await until(() => tunnel.text() === 'welcomehello bye');
    expect(db.received).toEqual(['hello']);
    await eventually(async () =>
      expect(await counters(sidecar)).toMatchObject({
        tunnelsActive: 0,
        bytesUpstream: 5,
        bytesDownstream: 16,
        responsesCutOff: 0,
        clientAborts: 0,
      }),
    );
    await eventually(() => expect(sidecar.log).toHaveLength(1));
    expect(JSON.parse(sidecar.log[0] ?? '')).toMatchObject({ method: 'CONNECT', status: 200 });
    const { clusters } = await sidecar.stats();
    expect(clusters['db']).toMatchObject({ connectionsOpened: 1, connectionsActive: 0 });
  });

  test('a break of the server is one for the client', async () => {
    const db = await database();
    const sidecar = await start(db.port);
    const tunnel = connect(sidecar.port('in'), 'db.test:5432');
    await until(() => tunnel.text() === 'welcome');
    db.sockets[0]?.resetAndDestroy();
    expect(await tunnel.over()).toBe(broken);
    expect(await counters(sidecar)).toMatchObject({ tunnelsActive: 0, responsesCutOff: 1 });
  });

  test('the server is told who connects, where its cluster says so', async () => {
    const db = await database();
    const sidecar = await start(db.port, { proxyProtocol: 'v1' });
    const tunnel = connect(sidecar.port('in'), 'db.test:5432');
    await until(() => tunnel.text().includes('PROXY'));
    const port = sidecar.port('in');
    expect(db.received[0]).toMatch(
      new RegExp(`^PROXY TCP4 127\\.0\\.0\\.1 127\\.0\\.0\\.1 \\d+ ${port}\r\n$`),
    );
    tunnel.end();
  });
});

test.for([
  ['to an authority that is not named', 'db.test:5433', 403],
  ['to one that is named, without its port', 'db.test', 403],
] as const)('%s nothing is dialled', async ([, authority, status]) => {
  const db = await database();
  const sidecar = await start(db.port);
  const head = { ':method': 'CONNECT', ':authority': authority };
  const answer = await ask(http2Client(mesh.scope, sidecar.port('in')), head, 'hello');
  expect(answer.status).toBe(status);
  const client = new RawClient(sidecar.port('in'));
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\nhello`);
  expect(await client.readAll()).toMatch(/^HTTP\/1\.1 40[03] /);
  expect(db.sockets).toHaveLength(0);
  client.close();
});

test('where the server is gone the answer is 503, and other requests go on', async () => {
  const gone = await mesh.server(() => {});
  gone.close();
  const sidecar = await start(gone.port);
  const client = new RawClient(sidecar.port('in'));
  client.send('CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n');
  await client.read((text) => text.includes('\r\n\r\n'));
  expect(client.text).toMatch(/^HTTP\/1\.1 503 /);
  const head = { ':method': 'CONNECT', ':authority': 'db.test:5432' };
  expect((await ask(http2Client(mesh.scope, sidecar.port('in')), head)).status).toBe(503);
  expect((await get(sidecar.port('in'), '/')).body).toBe('app');
  client.close();
});

test('a client that leaves while it is dialled leaves no connection behind', async () => {
  const sockets: Socket[] = [];
  const db = await mesh.server((socket) => void sockets.push(socket));
  const sidecar = await start(db.port);
  const client = new RawClient(sidecar.port('in'));
  client.send('CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n');
  client.close();
  await eventually(async () => {
    const { listeners, clusters } = await sidecar.stats();
    expect(listeners['in']).toMatchObject({ connectionsActive: 0, tunnelsActive: 0 });
    expect(clusters['db']).toMatchObject({ connectionsActive: 0 });
  });
  await until(() => sockets.every((socket) => socket.destroyed));
});
