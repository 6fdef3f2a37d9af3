/** Upgrade and CONNECT through the whole stack, byte by byte: what opens a tunnel, and what goes through one. */

import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/fakes/eventually.ts';
import {
  get,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  settled,
  type TestSidecar,
  until,
} from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

const host = 'Host: app.test\r\n';
const offer = `GET /chat HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
const switching =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** A server that answers a head with `answer` and from then on hands its bytes to `onBytes`. */
function tunnelServer(
  answer: string,
  onBytes: (bytes: string, socket: Socket) => void,
): { readonly heads: string[]; readonly serve: (socket: Socket) => void } {
  const heads: string[] = [];
  const serve = (socket: Socket): void => {
    let text = '';
    let isTunnel = false;
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!isTunnel) {
        const end = text.indexOf('\r\n\r\n');
        if (end === -1) return;
        heads.push(text.slice(0, end));
        text = text.slice(end + 4);
        isTunnel = true;
        socket.write(answer);
      }
      if (text !== '') onBytes(text, socket);
      text = '';
    });
  };
  return { heads, serve };
}

const counters = async (sidecar: TestSidecar, listener: string): Promise<Record<string, number>> =>
  (await sidecar.stats()).listeners[listener] ?? {};

describe('an upgrade', () => {
  test('opens a tunnel through both sidecars, each direction to its own end', async () => {
    let received = '';
    const { heads, serve } = tunnelServer(`${switching}first`, (bytes, socket) => {
      received += bytes;
      socket.write(`<${bytes}>`);
    });
    const app = await mesh.server(serve);
    const { web, orders, port } = await mesh.pair(app.port);
    const client = new RawClient(port);
    client.send(offer);
    await client.read((text) => text.endsWith('first'));
    expect(client.text).toMatch(/^HTTP\/1\.1 101 /);
    expect(client.text).toMatch(/\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n/);
    expect(heads[0]).toMatch(/\r\nUpgrade: websocket\r\nConnection: Upgrade$/);
    expect(await counters(web, 'out')).toMatchObject({ tunnelsOpened: 1, tunnelsActive: 1 });
    // Nothing in a tunnel is taken for HTTP.
    client.send('GET /smuggled HTTP/1.1\r\n\r\n');
    await client.read((text) => text.endsWith('>'));
    client.socket.end();
    const [upstream] = app.sockets;
    await until(() => upstream?.readableEnded === true);
    upstream?.end('last words');
    expect(await client.readAll()).toMatch(/last words$/);
    expect(received).toBe('GET /smuggled HTTP/1.1\r\n\r\n');
    const over = { tunnelsOpened: 1, tunnelsActive: 0, bytesUpstream: 26, requests: 1 };
    await eventually(async () => expect(await counters(web, 'out')).toMatchObject(over));
    await eventually(async () => expect(await counters(orders, 'in')).toMatchObject(over));
    expect((await web.stats()).clusters['orders']).toMatchObject({ connectionsIdle: 0 });
    await eventually(() => expect(orders.log).toHaveLength(1));
    expect(JSON.parse(orders.log[0] ?? '')).toMatchObject({
      status: 101,
      path: '/chat',
      requestBytes: 26,
      responseBytes: 5 + 28 + 10,
    });
  });

  test('may be ended by the server first, and the client is heard to its end', async () => {
    let received = '';
    const { serve } = tunnelServer(switching, (bytes) => {
      received += bytes;
    });
    const app = await mesh.server(serve);
    const sidecar = await mesh.plain(app.port);
    const client = new RawClient(sidecar.inPort);
    client.send(offer);
    await client.read((text) => text.endsWith('\r\n\r\n'));
    app.sockets[0]?.end();
    await until(() => client.isEnded);
    client.send('more');
    await until(() => received === 'more');
    client.socket.end();
    await until(() => app.sockets[0]?.destroyed === true && client.isClosed);
    expect(await counters(sidecar, 'in')).toMatchObject({
      tunnelsActive: 0,
      clientAborts: 0,
      responsesCutOff: 0,
    });
  });

  test('sent with the first bytes of the tunnel loses none of them', async () => {
    let received = '';
    const { serve } = tunnelServer(switching, (bytes) => {
      received += bytes;
    });
    const app = await mesh.server(serve);
    const sidecar = await mesh.plain(app.port);
    const client = new RawClient(sidecar.inPort);
    client.send(`${offer}early`);
    await until(() => received === 'early');
    client.close();
  });

  test('that the server declines is an ordinary exchange, and the connection goes on', async () => {
    const app = await mesh.server(scripted((head) => okResponse(head.split(' ')[1] ?? '')));
    const { port, web } = await mesh.pair(app.port);
    const client = new RawClient(port);
    client.send(`${offer}GET /2 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    const text = await client.readAll();
    expect(text).toMatch(/200 OK[^]*\/chat[^]*200 OK[^]*\/2$/);
    expect(await counters(web, 'out')).toMatchObject({ tunnelsOpened: 0, requests: 2 });
    expect(app.sockets).toHaveLength(1);
  });

  test.for([
    ['to a protocol that is not carried', 'Upgrade: foo\r\n', ''],
    ['to h2c', 'Upgrade: h2c\r\n', ''],
    ['with a body', 'Upgrade: websocket\r\nContent-Length: 1\r\n', 'x'],
  ] as const)('%s is not passed on', async ([, fields, body]) => {
    const heads: string[] = [];
    const app = await mesh.server((socket) => {
      let text = '';
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        if (!text.endsWith(`\r\n\r\n${body}`)) return;
        heads.push(text);
        socket.write(okResponse('plain'));
      });
    });
    const sidecar = await mesh.plain(app.port);
    const client = new RawClient(sidecar.inPort);
    client.send(`POST / HTTP/1.1\r\n${host}Connection: upgrade\r\n${fields}\r\n${body}`);
    await client.read((text) => text.endsWith('plain'));
    expect(heads[0]).not.toMatch(/upgrade/i);
    client.close();
  });

  test('offers the server only what is carried, and 101 to anything else is a 502', async () => {
    const { heads, serve } = tunnelServer(switching.replace('websocket', 'bar'), () => {});
    const app = await mesh.server(serve);
    const sidecar = await mesh.plain(app.port, { upgrades: ['foo'] });
    const answer = await get(sidecar.inPort, '/', {
      headers: { connection: 'upgrade', upgrade: 'bar, foo, websocket' },
    });
    expect(answer.status).toBe(502);
    expect(heads[0]).toMatch(/\r\nUpgrade: foo\r\n/);
    expect(await counters(sidecar, 'in')).toMatchObject({ tunnelsOpened: 0 });
  });

  test('a break on one side is a break on the other', async () => {
    const { serve } = tunnelServer(switching, (_bytes, socket) => socket.resetAndDestroy());
    const app = await mesh.server(serve);
    const sidecar = await mesh.plain(app.port);
    const client = new RawClient(sidecar.inPort);
    client.send(offer);
    await client.read((text) => text.endsWith('\r\n\r\n'));
    client.send('x');
    await until(() => client.isClosed || client.isEnded);
    expect(client.isEnded).toBe(false);
    expect(client.text.endsWith('\r\n\r\n')).toBe(true);
    const seen = { tunnelsActive: 0, responsesCutOff: 1 };
    await eventually(async () => expect(await counters(sidecar, 'in')).toMatchObject(seen));
    client.close();
  });

  test('a side that does not read holds the other back, both ways, and nothing is lost', async () => {
    const size = 24 * 1024 * 1024;
    const { serve } = tunnelServer(switching, () => {});
    const app = await mesh.server(serve);
    const { port } = await mesh.pair(app.port);
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
    upstream.write(Buffer.alloc(size, 0x61));
    client.socket.write(Buffer.alloc(size, 0x62));
    expect(await settled(() => upstream.writableLength)).toBeGreaterThan(0);
    expect(await settled(() => client.socket.writableLength)).toBeGreaterThan(0);
    client.socket.resume();
    await until(() => client.text.length === head + size);
    upstream.resume();
    await until(() => received === size);
    client.close();
  });
});

describe('the end of tunnels', () => {
  test('one through which nothing goes is closed, and one that is used is not', async () => {
    const { serve } = tunnelServer(switching, (bytes, socket) => socket.write(bytes));
    const app = await mesh.server(serve);
    const sidecar = await mesh.plain(app.port, { timeouts: { tunnelIdle: '500ms' } });
    const idle = new RawClient(sidecar.inPort);
    const used = new RawClient(sidecar.inPort);
    for (const client of [idle, used]) client.send(offer);
    await until(() => [idle, used].every((client) => client.text.endsWith('\r\n\r\n')));
    const beat = setInterval(() => used.send('.'), 20);
    await until(() => idle.isClosed || idle.isEnded);
    await used.read((text) => text.endsWith('....'));
    expect(used.isEnded || used.isClosed).toBe(false);
    clearInterval(beat);
    await until(() => used.isClosed || used.isEnded);
    expect(await counters(sidecar, 'in')).toMatchObject({ tunnelsOpened: 2, tunnelsActive: 0 });
    await eventually(() => expect(sidecar.log).toHaveLength(2));
    expect(sidecar.log[0]).toContain('"fault":"nothing went through the tunnel"');
  });

  test('a drain waits for them, up to its bound', async () => {
    const { serve } = tunnelServer(switching, (bytes, socket) => socket.write(bytes));
    const app = await mesh.server(serve);
    const sidecar = await mesh.plain(app.port, { timeouts: { drain: '60s' } });
    const client = new RawClient(sidecar.inPort);
    client.send(offer);
    await client.read((text) => text.endsWith('\r\n\r\n'));
    let isClosed = false;
    const closing = sidecar.proxy.close().then(() => {
      isClosed = true;
    });
    client.send('still here');
    await client.read((text) => text.endsWith('still here'));
    expect(isClosed).toBe(false);
    client.socket.end();
    app.sockets[0]?.end();
    await closing;

    const other = await mesh.plain(app.port, { timeouts: { drain: '1ms' } });
    const late = new RawClient(other.inPort);
    late.send(offer);
    await late.read((text) => text.endsWith('\r\n\r\n'));
    await other.proxy.close();
    await until(() => late.isClosed || late.isEnded);
  });
});

describe('CONNECT', () => {
  const connect = 'CONNECT Db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n';

  test('goes where the config says, through both sidecars, with what is sent along', async () => {
    let received = '';
    const { heads, serve } = tunnelServer(
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nwelcome',
      (bytes, socket) => {
        received += bytes;
        if (received === 'hello') socket.end('bye');
      },
    );
    const app = await mesh.server(serve);
    const { port, web, orders } = await mesh.pair(app.port, { connect: 'db.test:5432' });
    const client = new RawClient(port);
    client.send(`${connect}hel`);
    await client.read((text) => text.endsWith('welcome'));
    expect(client.text).not.toMatch(/content-length|transfer-encoding/i);
    client.send('lo');
    expect(await client.readAll()).toMatch(/welcomebye$/);
    client.socket.end();
    expect(heads[0]).toMatch(/^CONNECT Db\.test:5432 HTTP\/1\.1\r\nHost: db\.test:5432\r\n/);
    expect(heads[0]).toContain('x-forwarded-client-cert: URI=spiffe://mesh.test/web');
    const over = { tunnelsOpened: 1, tunnelsActive: 0, bytesUpstream: 5, bytesDownstream: 10 };
    await eventually(async () => expect(await counters(web, 'out')).toMatchObject(over));
    await eventually(async () => expect(await counters(orders, 'in')).toMatchObject(over));
    await eventually(() => expect(orders.log[0]).toContain('"path":"Db.test:5432"'));
  });

  test('that the server refuses is answered, and nothing sent along goes anywhere', async () => {
    let received = '';
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        received += bytes.toString('latin1');
        socket.write('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno');
      });
    });
    const sidecar = await mesh.plain(app.port, { connect: 'db.test:5432' });
    const client = new RawClient(sidecar.inPort);
    client.send(`${connect}GET /smuggled HTTP/1.1\r\n${host}\r\n`);
    const text = await client.readAll();
    expect(text).toMatch(/^HTTP\/1\.1 403 No\r\n[^]*Connection: close\r\n\r\nno$/);
    expect(received).not.toContain('smuggled');
    expect(await counters(sidecar, 'in')).toMatchObject({ tunnelsOpened: 0, requests: 1 });
    client.close();
  });

  test('to anywhere else is 403, and no byte of it reaches the server', async () => {
    const app = await mesh.server(() => {});
    const sidecar = await mesh.plain(app.port, { connect: 'db.test:5432' });
    const client = new RawClient(sidecar.inPort);
    client.send('CONNECT db.test:5433 HTTP/1.1\r\nHost: db.test:5433\r\n\r\nhello');
    expect(await client.readAll()).toMatch(/^HTTP\/1\.1 403 [^]*Connection: close/);
    expect(app.sockets).toHaveLength(0);
    client.close();
  });
});
