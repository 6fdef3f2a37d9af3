/** `protocol: auto`: one port for HTTP and for what is relayed, with and without TLS. */

import { connect as connectHttp2 } from 'node:http2';
import { connect as connectPlain, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  get,
  isReady,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  type TestServer,
  type TestSidecar,
  until,
} from '../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
let web: TestServer;
/** Greets, then gives back what it is told, and ends when its client does. */
let echo: TestServer;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  web = await mesh.server(scripted(() => okResponse('hello')));
  echo = await mesh.server((socket) => {
    socket.write('220 ');
    socket.pipe(socket);
  });
});
afterAll(() => mesh.close());

async function sidecar(listener: Record<string, unknown>, detect = '10s'): Promise<TestSidecar> {
  const made = await mesh.sidecar(await mesh.readySds('/orders'), {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        protocol: 'auto',
        routes: [{ prefix: '/', cluster: 'web' }],
        ...listener,
      },
    ],
    clusters: [
      { name: 'web', endpoints: [`127.0.0.1:${web.port}`] },
      { name: 'echo', endpoints: [`127.0.0.1:${echo.port}`] },
    ],
    timeouts: { drain: '50ms', detect },
  });
  await until(() => isReady(made));
  return made;
}

async function counters(made: TestSidecar): Promise<Record<string, number>> {
  return (await made.stats()).listeners['in'] ?? {};
}

const open = { plaintext: true, cluster: 'echo' };

test('HTTP is answered and everything else relayed, whole, though it comes byte by byte', async () => {
  const made = await sidecar(open);
  const port = made.port('in');
  expect(await get(port, '/')).toMatchObject({ status: 200, body: 'hello' });
  for (const [sent, answer] of [
    ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 'hello'],
    ['GET key\r\nGET other\r\n', '220 GET key\r\nGET other\r\n'],
    ['\0\0\0\x08\x04\xd2\x16\x2f', '220 \0\0\0\x08\x04\xd2\x16\x2f'],
  ] as const) {
    const client = new RawClient(port);
    client.socket.setNoDelay(true);
    for (const character of sent) {
      client.send(character);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    expect(await client.read((text) => text.endsWith(answer))).toContain(answer);
    client.close();
  }
  expect(await counters(made)).toMatchObject({ requests: 2, relays: 2, protocolsUnknown: 2 });
});

test('HTTP/2 is known by its preface, however it is split, and HTTP/1.1 beside it', async () => {
  const made = await sidecar(open);
  const session = connectHttp2('http://127.0.0.1', {
    // Byte by byte, as no client does it.
    createConnection: () => slowly(connectPlain(made.port('in'), '127.0.0.1')),
  });
  session.on('error', () => {});
  const status = await new Promise<unknown>((resolve, reject) => {
    const request = session.request({ ':path': '/' });
    request.on('response', (headers) => resolve(headers[':status']));
    request.on('error', reject);
  });
  expect(status).toBe(200);
  session.destroy();
  expect(await get(made.port('in'), '/')).toMatchObject({ status: 200, body: 'hello' });
  expect(await counters(made)).toMatchObject({ requests: 2, relays: 0, protocolsUnknown: 0 });
});

/** Has what is written to the socket leave in pieces of one byte. */
function slowly(socket: Socket): Duplex {
  socket.setNoDelay(true);
  const out = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      for (const byte of bytes) socket.write(Buffer.from([byte]));
      done();
    },
  });
  socket.on('data', (bytes: Buffer) => out.push(bytes));
  socket.on('close', () => out.destroy());
  out.on('close', () => socket.destroy());
  return out;
}

test('an end right behind the first bytes reaches the server behind them', async () => {
  const made = await sidecar(open);
  const client = new RawClient(made.port('in'));
  client.send('x');
  client.socket.end();
  expect(await client.readAll()).toBe('220 x');
  client.close();
});

test('without a fallback what is not known is closed, counted, and closes nobody else', async () => {
  const made = await sidecar({ plaintext: true }, '300ms');
  const wrong = new RawClient(made.port('in'));
  wrong.send('EHLO client.test\r\n');
  expect(await wrong.readAll()).toBe('');
  const silent = new RawClient(made.port('in'));
  expect((await get(made.port('in'), '/')).status).toBe(200);
  expect(await silent.readAll()).toBe('');
  expect(await counters(made)).toMatchObject({ protocolsUnknown: 2, requests: 1, relays: 0 });
});

test('a client that waits for its server is relayed once the deadline is over', async () => {
  const made = await sidecar(open, '300ms');
  const client = new RawClient(made.port('in'));
  expect(await client.read((text) => text === '220 ')).toBe('220 ');
  client.send('GET / HTTP/1.1\r\n');
  expect(await client.read((text) => text.endsWith('\n'))).toBe('220 GET / HTTP/1.1\r\n');
  client.close();
});

test('on opaque ports and where servers speak first nobody waits, and nobody looks', async () => {
  const made = await sidecar({
    ...open,
    opaquePorts: [9999],
    proxyProtocol: { from: ['127.0.0.1'] },
  });
  // The detection's deadline is 10 s: who is greeted at once was not looked at.
  for (const port of [9999, 3306]) {
    const client = new RawClient(made.port('in'));
    client.send(`PROXY TCP4 127.0.0.1 127.0.0.1 1 ${port}\r\n`);
    expect(await client.read((text) => text === '220 ')).toBe('220 ');
    client.send('GET / HTTP/1.1\r\n');
    expect(await client.read((text) => text.endsWith('\n'))).toBe('220 GET / HTTP/1.1\r\n');
    client.close();
  }
  expect(await counters(made)).toMatchObject({ protocolsUnknown: 0, relays: 2 });
});

test('in mutual TLS it is ALPN that decides, and the bytes where there is none', async () => {
  const made = await sidecar({ tls: { allow: ['spiffe://mesh.test/web'] }, cluster: 'echo' });
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const ask = async (sent: string, isEnough: RegExp, alpn: string[] = []): Promise<string> => {
    const socket = connectTls({
      port: made.port('in'),
      host: '127.0.0.1',
      cert: leaf.chainPem,
      key: leaf.keyPem,
      rejectUnauthorized: false,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: alpn }),
    });
    let text = '';
    let isClosed = false;
    socket.on('error', () => {});
    socket.on('close', () => {
      isClosed = true;
    });
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
    });
    socket.write(sent);
    await until(() => isClosed || isEnough.test(text));
    socket.destroy();
    return text;
  };
  const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  expect(await ask(request, /hello$/, ['http/1.1'])).toContain('200 OK');
  expect(await ask(request, /hello$/)).toContain('200 OK');
  expect(await ask('PING\r\n', /PING\r\n$/)).toBe('220 PING\r\n');
  // Who has agreed on HTTP is answered as HTTP, whatever it then says.
  expect(await ask('PING\r\n\r\n', /\r\n\r\n/, ['http/1.1'])).toContain('HTTP/1.1 400');
});

test('who is found out after the drain began is served once, and does not hold the end up', async () => {
  const held: (() => void)[] = [];
  const app = await mesh.server((socket) => {
    let head = '';
    socket.on('data', (bytes) => {
      head += bytes.toString();
      if (!head.endsWith('\r\n\r\n')) return;
      const answer = (): void => void socket.write(okResponse('hello'));
      if (head.startsWith('GET /held ')) held.push(answer);
      else answer();
      head = '';
    });
  });
  const draining = await mesh.sidecar(undefined, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'auto',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    // So long that nobody here is ended by it.
    timeouts: { drain: '10m', idle: '10m' },
  });
  const first = new RawClient(draining.port('in'));
  first.send('GET /held HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => held.length === 1);
  const late = new RawClient(draining.port('in'));
  late.send('GET / HT');
  let seen = 0;
  while (seen < 2) seen = (await draining.stats()).listeners['in']?.['connectionsActive'] ?? 0;
  const closing = draining.proxy.close();
  late.send('TP/1.1\r\nHost: a\r\n\r\n');
  expect(await late.readAll()).toContain('hello');
  expect(late.isEnded).toBe(true);
  held[0]?.();
  expect(await first.readAll()).toContain('hello');
  await closing;
  first.close();
  late.close();
});
