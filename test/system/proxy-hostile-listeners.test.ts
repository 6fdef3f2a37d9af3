/**
 * Peers that mean harm before anybody serves them, and through relays: many of each kind at once against listeners
 * of every kind in one process.
 */

import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../fakes/eventually.ts';
import { get, okResponse, ProxyMesh } from '../fakes/proxy-mesh.ts';
import type { TestLeaf } from '../fakes/test-pki.ts';
import { type Attack, drip, flood, openMany, send, statsOf, withstand } from './hostile-peers.ts';
import { type ProxyProcess, startProxyProcess, writeProxyConfig } from './proxy-process.ts';

let mesh: ProxyMesh;
let proxy: ProxyProcess;
let leaf: TestLeaf;
/** What a client of TLS says first. */
let hello: Buffer;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  leaf = await mesh.pki.issueLeaf({ id: '/web' });
  hello = await recordHello();
  proxy = await startListeners(await startApp());
  await eventually(async () => expect((await get(proxy.adminPort, '/readyz')).status).toBe(200));
  // What a process takes once in its life is taken here.
  for (let count = 0; count < 10; count += 1) {
    for (const { serve } of Object.values(listeners)) await serve();
  }
});
afterAll(() => mesh.close());

const big = Buffer.alloc(32 * 1024 * 1024);

/** Answers by path, and as badly as the path says. */
async function startApp(): Promise<number> {
  const app = await mesh.server((socket) => {
    let path: string | undefined;
    socket.on('data', (bytes) => {
      path = /^GET (\/\w*)/.exec(bytes.toString('latin1', 0, 100))?.[1] ?? path;
      if (path === '/good') socket.write(okResponse('good'));
      if (path === '/deaf') socket.pause();
      if (path === '/big') socket.write(big);
      if (path === '/leave') socket.end('bye');
    });
    socket.on('end', () => {
      if (path !== '/stay') socket.end();
    });
  });
  return app.port;
}

async function startListeners(appPort: number): Promise<ProxyProcess> {
  const { path } = await mesh.readySds('/orders');
  const tls = { allow: ['spiffe://mesh.test/web'] };
  const http = { protocol: 'http1', routes: [{ prefix: '/', cluster: 'app' }] };
  const own = {
    strict: { tls, ...http },
    permissive: { mode: 'permissive', tls, ...http },
    header: { plaintext: true, proxyProtocol: { from: ['127.0.0.1'] }, ...http },
    auto: { plaintext: true, ...http, protocol: 'auto' },
    relay: { plaintext: true, protocol: 'tcp', cluster: 'app' },
    nowhere: { plaintext: true, protocol: 'tcp', cluster: 'gone' },
  };
  const config = writeProxyConfig(mesh, 'listeners.yaml', {
    // Of a kind only the first in a minute is a warning, and of handshakes none is.
    logLevel: 'debug',
    sds: { socket: path },
    listeners: Object.entries(own).map(([name, each]) => ({
      name,
      address: '127.0.0.1:0',
      ...each,
    })),
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${appPort}`] },
      // Nobody listens on a port that only the superuser may take.
      { name: 'gone', endpoints: ['127.0.0.1:1'] },
    ],
    timeouts: {
      firstBytes: '1s',
      handshake: '1s',
      detect: '1s',
      relayIdle: '1500ms',
      relayHalfClosed: '1s',
    },
  });
  return startProxyProcess(mesh, config);
}

/** The first flight of a client of TLS, as Node sends it. */
async function recordHello(): Promise<Buffer> {
  let first: Buffer | undefined;
  const server = await mesh.server((socket) =>
    socket.once('data', (bytes: Buffer) => {
      first = bytes;
    }),
  );
  const client = connectTls({ port: server.port, host: '127.0.0.1' });
  client.on('error', () => {});
  const bytes = await eventually(() => {
    if (first === undefined) throw new Error('nothing has come');
    return first;
  });
  client.destroy();
  server.close();
  return bytes;
}

/** A client that behaves: asks over an open connection, and is answered. */
async function ask(socket: Socket, before = ''): Promise<void> {
  let text = '';
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`it was closed after: ${text}`)));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.endsWith('good')) resolve();
    });
    socket.write(`${before}GET /good HTTP/1.1\r\nHost: a\r\n\r\n`);
  });
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  socket.destroy();
}

function plainTo(listener: string): Socket {
  return connect({ port: proxy.portOf(listener), host: '127.0.0.1' });
}

function tlsTo(listener: string): Socket {
  return connectTls({
    port: proxy.portOf(listener),
    host: '127.0.0.1',
    cert: leaf.chainPem,
    key: leaf.keyPem,
    // Whom it speaks to is not what is tested.
    rejectUnauthorized: false,
  });
}

interface HostileListener {
  readonly serve: () => Promise<void>;
  readonly attacks: readonly Attack[];
}

// A record of 512 bytes that is the beginning of a ClientHello.
const beginOfHello = Buffer.from('1603010200010001fc0303', 'hex');
const late = 'the first bytes did not come in time';
const slow = 'the handshake took too long';
const unknown = 'its protocol was not known in time';
const idle = 'nothing went through the relay';

const listeners: Readonly<Record<string, HostileListener>> = {
  strict: {
    serve: () => ask(tlsTo('strict')),
    attacks: [
      { name: 'handshakes that never begin', counter: 'tlsHandshakesFailed', said: slow, act() {} },
      {
        name: 'handshakes that stop after the hello',
        counter: 'tlsHandshakesFailed',
        said: slow,
        act: (socket) => send(hello)(socket),
      },
      {
        name: 'handshakes that drip',
        counter: 'tlsHandshakesFailed',
        said: slow,
        act: drip(beginOfHello),
      },
    ],
  },
  permissive: {
    serve: () => ask(tlsTo('permissive')),
    attacks: [
      {
        name: 'hellos that drip',
        counter: 'connectionsUnreadable',
        said: late,
        act: drip(beginOfHello),
      },
      {
        name: 'hellos of records without end',
        counter: 'connectionsUnreadable',
        said: 'its ClientHello is bad: it takes more than 1024 records',
        // Each record has one byte: the message, its length of 16,128, and zeros.
        act: (socket) => {
          send(Buffer.from('16030100010116030100010016030100013f160301000100', 'hex'))(socket);
          flood('', Buffer.alloc(6 * 1000, Buffer.from('160301000100', 'hex')))(socket);
        },
      },
    ],
  },
  header: {
    serve: () => ask(plainTo('header'), 'PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\r\n'),
    attacks: [
      {
        name: 'PROXY headers that drip',
        counter: 'connectionsUnreadable',
        said: late,
        act: drip('PROXY TCP4 '),
      },
      {
        name: 'PROXY headers without end',
        counter: 'connectionsUnreadable',
        said: 'its PROXY header is bad: its line is longer than 107',
        act: flood('PROXY TCP4 ', 'x'.repeat(16_384)),
      },
    ],
  },
  auto: {
    serve: () => ask(plainTo('auto')),
    attacks: [
      { name: 'clients that stay silent', counter: 'protocolsUnknown', said: unknown, act() {} },
      {
        name: 'first lines that drip',
        counter: 'protocolsUnknown',
        said: unknown,
        act: drip('GET /'),
      },
    ],
  },
  relay: {
    serve: () => ask(plainTo('relay')),
    attacks: [
      { name: 'both sides silent', counter: 'relayTimeouts', said: idle, act() {} },
      {
        name: 'clients that never read',
        counter: 'relayTimeouts',
        said: idle,
        act: (socket) => void socket.pause().write('GET /big '),
      },
      {
        name: 'servers that never read',
        counter: 'relayTimeouts',
        said: idle,
        act: flood('GET /deaf ', Buffer.alloc(256 * 1024)),
      },
      {
        name: 'clients that have ended, and servers that do not',
        counter: 'relayTimeouts',
        said: idle,
        act: (socket) => void socket.resume().end('GET /stay '),
      },
      {
        name: 'servers that have ended, and clients that do not',
        counter: 'relayTimeouts',
        said: idle,
        act: send('GET /leave '),
        staysOpen: true,
      },
    ],
  },
};

test('who behaves is served by each, and nothing is counted or said of that', async () => {
  for (const [listener, { serve, attacks }] of Object.entries(listeners)) {
    await serve();
    const { counters } = await statsOf(proxy, listener);
    for (const { counter } of attacks) expect(counters).toMatchObject({ [counter]: 0 });
  }
  expect(proxy.log()).not.toContain('"reason"');
});

describe.for(Object.entries(listeners))(
  'a hundred at once, %s',
  ([listener, { serve, attacks }]) => {
    test.for(attacks)('$name: $counter', (attack) =>
      withstand(mesh.scope, { proxy, listener, peers: 100, serve }, attack),
    );
  },
);

test('a hundred relays without a server write a line each for whoever debugs, and one warning', async () => {
  await openMany(mesh.scope, proxy.portOf('nowhere'), 100, (socket) => void socket.resume());
  await eventually(async () => {
    const { counters } = await statsOf(proxy, 'nowhere');
    expect(counters).toMatchObject({ relaysFailed: 100, connectionsActive: 0 });
  });
  const said = (): string[] =>
    proxy
      .log()
      .split('\n')
      .filter((line) => line.includes('"cluster":"gone"') && line.includes('ECONNREFUSED'));
  await eventually(() => expect(said()).toHaveLength(100));
  expect(said().filter((line) => line.startsWith('{"level":40,'))).toHaveLength(1);
});
