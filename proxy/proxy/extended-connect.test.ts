/** Extended CONNECT (RFC 8441): WebSocket by HTTP/2 from a client and between sidecars, by HTTP/1.1 where the next hop speaks that. */

import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/fakes/eventually.ts';
import { http2Client, http2Server } from '../../test/fakes/http2-peers.ts';
import {
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  settled,
  type TestSidecar,
  until,
} from '../../test/fakes/proxy-mesh.ts';
import { echoWebSocket } from '../../test/fakes/websocket-server.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

const offer =
  'GET /chat?a=b HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const switching =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';
const asking = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/chat?a=b',
  ':authority': 'app.test',
  'sec-websocket-version': '13',
};

/** A server of HTTP/1.1 that takes every upgrade, and hands on what comes then. */
async function upgradingApp(
  onBytes: (bytes: string, socket: Socket) => void,
): Promise<{ port: number; sockets: Socket[]; heads: string[] }> {
  const heads: string[] = [];
  const app = await mesh.server((socket) => {
    let isTunnel = false;
    socket.on('data', (bytes) => {
      let text = bytes.toString('latin1');
      if (!isTunnel) {
        const end = text.indexOf('\r\n\r\n');
        heads.push(text.slice(0, end));
        text = text.slice(end + 4);
        isTunnel = true;
        socket.write(switching);
      }
      if (text !== '') onBytes(text, socket);
    });
  });
  return { port: app.port, sockets: app.sockets, heads };
}

/** Once the server's settings are known, which say that it may be asked. */
async function knownSession(port: number): Promise<ClientHttp2Session> {
  const session = http2Client(mesh.scope, port);
  await until(() => session.remoteSettings?.enableConnectProtocol === true);
  return session;
}

interface Asked {
  readonly stream: ClientHttp2Stream;
  readonly status: Promise<number>;
  readonly heard: () => string;
}

function askTunnel(session: ClientHttp2Session, headers: OutgoingHttpHeaders = asking): Asked {
  const stream = session.request(headers, { endStream: false });
  let heard = '';
  stream.on('error', () => {});
  stream.on('data', (bytes: Buffer) => {
    heard += bytes.toString('latin1');
  });
  const status = once(stream, 'response').then(([head]) =>
    Number((head as Record<string, unknown>)[':status']),
  );
  return { stream, status, heard: () => heard };
}

const counters = async (sidecar: TestSidecar, listener: string): Promise<Record<string, number>> =>
  (await sidecar.stats()).listeners[listener] ?? {};

describe('a client of HTTP/2', () => {
  test('reaches a server of HTTP/1.1, each direction to its own end', async () => {
    const app = await upgradingApp((bytes, socket) => socket.write(`<${bytes}>`));
    const sidecar = await mesh.plain(app.port, { protocol: 'http2' });
    const session = await knownSession(sidecar.inPort);
    const { stream, status, heard } = askTunnel(session);
    expect(await status).toBe(200);
    expect(app.heads[0]).toMatch(/^GET \/chat\?a=b HTTP\/1\.1\r\nHost: app\.test\r\n/i);
    expect(app.heads[0]).toMatch(/\r\nsec-websocket-version: 13\r\n/i);
    expect(app.heads[0]).toMatch(/\r\nsec-websocket-key: [\w+/]{22}==\r\n/i);
    expect(app.heads[0]).toMatch(/\r\nUpgrade: websocket\r\nConnection: Upgrade$/i);
    expect(stream.sentHeaders[':protocol']).toBe('websocket');
    stream.write('hello');
    await eventually(() => expect(heard()).toBe('<hello>'));
    expect(await counters(sidecar, 'in')).toMatchObject({ tunnelsOpened: 1, tunnelsActive: 1 });
    stream.end();
    await until(() => app.sockets[0]?.readableEnded === true);
    app.sockets[0]?.end('last words');
    await eventually(() => expect(heard()).toBe('<hello>last words'));
    await until(() => stream.closed);
    expect(stream.rstCode).toBe(0);
    const over = { tunnelsActive: 0, bytesUpstream: 5, bytesDownstream: 17, clientAborts: 0 };
    await eventually(async () => expect(await counters(sidecar, 'in')).toMatchObject(over));
    session.destroy();
  });

  test('hears nothing of the handshake that is HTTP/1.1’s', async () => {
    const app = await upgradingApp(() => {});
    const sidecar = await mesh.plain(app.port, { protocol: 'http2' });
    const session = await knownSession(sidecar.inPort);
    const { stream } = askTunnel(session);
    const [head] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(Object.keys(head).filter((name) => /upgrade|connection|accept/.test(name))).toEqual([]);
    session.destroy();
  });

  test('may send before it is answered, and loses nothing of it', async () => {
    let received = '';
    const app = await upgradingApp((bytes) => {
      received += bytes;
    });
    const sidecar = await mesh.plain(app.port, { protocol: 'http2' });
    const session = await knownSession(sidecar.inPort);
    const { stream, status } = askTunnel(session);
    stream.write('early');
    expect(await status).toBe(200);
    await eventually(() => expect(received).toBe('early'));
    session.destroy();
  });

  test('is not told of a tunnel where the server answers as to any GET', async () => {
    const app = await mesh.server(scripted(() => okResponse('plain')));
    const sidecar = await mesh.plain(app.port, { protocol: 'http2' });
    const session = await knownSession(sidecar.inPort);
    const { stream, status, heard } = askTunnel(session);
    stream.write('to nobody');
    expect(await status).toBe(502);
    await eventually(() => expect(heard()).toBe('plain'));
    expect(await counters(sidecar, 'in')).toMatchObject({ tunnelsOpened: 0 });
    session.destroy();
  });

  test.for([
    ['a protocol that is not carried', { ':protocol': 'foo' }, 501],
    ['a path without a route that leads anywhere', { ':path': '/a/../b' }, 400],
  ] as const)('is refused %s, and the next is served', async ([, headers, expected]) => {
    const app = await upgradingApp(() => {});
    const sidecar = await mesh.plain(app.port, { protocol: 'http2' });
    const session = await knownSession(sidecar.inPort);
    expect(await askTunnel(session, { ...asking, ...headers }).status).toBe(expected);
    expect(app.heads).toEqual([]);
    expect(await askTunnel(session).status).toBe(200);
    session.destroy();
  });

  test('is not told that it may ask where nothing is carried', async () => {
    const app = await upgradingApp(() => {});
    const sidecar = await mesh.plain(app.port, { protocol: 'http2', upgrades: [] });
    const session = http2Client(mesh.scope, sidecar.inPort);
    await once(session, 'remoteSettings');
    expect(session.remoteSettings?.enableConnectProtocol).not.toBe(true);
    session.destroy();
  });

  test('that leaves is heard by the server, and a server that breaks is heard by the client', async () => {
    const app = await upgradingApp((_bytes, socket) => socket.resetAndDestroy());
    const sidecar = await mesh.plain(app.port, { protocol: 'http2' });
    const session = await knownSession(sidecar.inPort);
    const leaving = askTunnel(session);
    expect(await leaving.status).toBe(200);
    leaving.stream.close(8);
    await until(() => app.sockets[0]?.destroyed === true || app.sockets[0]?.readableEnded === true);
    const broken = askTunnel(session);
    expect(await broken.status).toBe(200);
    broken.stream.write('x');
    await until(() => broken.stream.closed);
    // RFC 9113 §8.5: CONNECT_ERROR.
    expect(broken.stream.rstCode).toBe(10);
    session.destroy();
  });

  test('through which nothing goes is closed', async () => {
    const app = await upgradingApp(() => {});
    const timeouts = { tunnelIdle: '300ms' };
    const sidecar = await mesh.plain(app.port, { protocol: 'http2', timeouts });
    const session = await knownSession(sidecar.inPort);
    const { stream, status } = askTunnel(session);
    expect(await status).toBe(200);
    await until(() => stream.closed);
    expect(await counters(sidecar, 'in')).toMatchObject({ tunnelTimeouts: 1, tunnelsActive: 0 });
    session.destroy();
  });
});

describe('between sidecars that speak HTTP/2', () => {
  test('a WebSocket client sends and hears what it sent', async () => {
    const server = createServer();
    server.on('upgrade', echoWebSocket);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    mesh.scope.onClose(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port: appPort } = server.address() as AddressInfo;
    const { web, port } = await mesh.pair(appPort, { between: 'http2' });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
    const heard: unknown[] = [];
    socket.addEventListener('message', ({ data }) => heard.push(data));
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    const sent = ['hello', 'x'.repeat(200_000), ''];
    for (const each of sent) socket.send(each);
    await eventually(() => expect(heard).toEqual(sent));
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    socket.close(1000);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    await eventually(async () =>
      expect(await counters(web, 'out')).toMatchObject({ tunnelsOpened: 1, tunnelsActive: 0 }),
    );
  });

  test('either side may end first, and the other is heard to its end', async () => {
    let received = '';
    const app = await upgradingApp((bytes) => {
      received += bytes;
    });
    const { web, orders, port } = await mesh.pair(app.port, { between: 'http2' });
    const client = new RawClient(port);
    client.send(`${offer}early `);
    await client.read((text) => text.endsWith('\r\n\r\n'));
    expect(client.text).toMatch(/^HTTP\/1\.1 101 [^]*\r\nUpgrade: websocket\r\n/i);
    app.sockets[0]?.end('bye');
    await until(() => client.isEnded);
    client.send('late');
    client.socket.end();
    await eventually(() => expect(received).toBe('early late'));
    await until(() => client.isClosed);
    const other = new RawClient(port);
    other.send(offer);
    await other.read((text) => text.endsWith('\r\n\r\n'));
    other.socket.end();
    await until(() => app.sockets[1]?.readableEnded === true);
    app.sockets[1]?.end('last words');
    expect(await other.readAll()).toMatch(/last words$/);
    const over = { tunnelsOpened: 2, tunnelsActive: 0, clientAborts: 0, responsesCutOff: 0 };
    await eventually(async () => expect(await counters(web, 'out')).toMatchObject(over));
    await eventually(async () => expect(await counters(orders, 'in')).toMatchObject(over));
    // Both went over one connection, as two streams of it.
    expect((await web.stats()).clusters['orders']).toMatchObject({ connectionsOpened: 1 });
  });

  test('HTTP/2 on the whole way to the last hop', async () => {
    const app = await upgradingApp((bytes, socket) => socket.write(`<${bytes}>`));
    const { port } = await mesh.pair(app.port, { protocol: 'http2', between: 'http2' });
    const session = await knownSession(port);
    const { stream, status, heard } = askTunnel(session);
    expect(await status).toBe(200);
    stream.write('hello');
    await eventually(() => expect(heard()).toBe('<hello>'));
    session.destroy();
    await until(() => app.sockets[0]?.readableEnded === true || app.sockets[0]?.destroyed === true);
  });

  test('a side that does not read holds the other back, both ways, and nothing is lost', async () => {
    const size = 24 * 1024 * 1024;
    const app = await upgradingApp(() => {});
    const { port } = await mesh.pair(app.port, { between: 'http2' });
    const client = new RawClient(port);
    client.send(offer);
    await client.read((text) => text.endsWith('\r\n\r\n'));
    const [upstream] = app.sockets;
    if (upstream === undefined) throw new Error('the server was not reached');
    const head = client.text.length;
    let received = 0;
    client.socket.pause();
    upstream.pause();
    upstream.on('data', (bytes) => {
      received += bytes.length;
    });
    upstream.pause();
    upstream.end(Buffer.alloc(size, 0x61));
    client.socket.end(Buffer.alloc(size, 0x62));
    expect(await settled(() => upstream.writableLength)).toBeGreaterThan(0);
    expect(await settled(() => client.socket.writableLength)).toBeGreaterThan(0);
    client.socket.resume();
    await until(() => client.text.length === head + size);
    upstream.resume();
    await until(() => received === size);
    await until(() => client.isEnded && upstream.readableEnded);
    client.close();
  });

  test('a server of HTTP/2 that knows no extended CONNECT is sent a GET', async () => {
    const methods: unknown[] = [];
    const app = await http2Server(mesh.scope, (stream, headers) => {
      methods.push(headers[':method']);
      stream.respond({ ':status': 200 });
      stream.end('plain');
    });
    const { inPort } = await mesh.plain(app.port, { upstream: 'http2' });
    const client = new RawClient(inPort);
    client.send(offer);
    await client.read((text) => text.includes('plain'));
    expect(client.text).toMatch(/^HTTP\/1\.1 200 /);
    expect(methods).toEqual(['GET']);
    client.close();
  });

  test('one that knows it is asked in its own words', async () => {
    const heads: Record<string, unknown>[] = [];
    const app = await http2Server(
      mesh.scope,
      (stream, headers) => {
        heads.push(headers);
        stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' });
        stream.pipe(stream);
      },
      { enableConnectProtocol: true },
    );
    const { inPort } = await mesh.plain(app.port, { upstream: 'http2' });
    const client = new RawClient(inPort);
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    client.send(offer.replace('\r\n\r\n', `\r\nSec-WebSocket-Key: ${key}\r\n\r\n`));
    await client.read((text) => text.endsWith('\r\n\r\n'));
    expect(heads[0]).toMatchObject({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/chat?a=b',
      ':authority': 'app.test',
    });
    expect(heads[0]).not.toHaveProperty('sec-websocket-key');
    // The example of RFC 6455 §1.3.
    expect(client.text).toMatch(/\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i);
    expect(client.text).toMatch(/\r\nsec-websocket-protocol: chat\r\n/i);
    client.send('hello');
    await client.read((text) => text.endsWith('hello'));
    client.socket.end();
    await until(() => client.isEnded);
  });
});
