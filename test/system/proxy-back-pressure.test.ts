/** A stream of 2 GiB to a reader that stops: the proxy's memory stays as it was, each hop waits for the next. */

import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePorts } from '../../core/index.ts';
import { get, ProxyMesh, type StatsJson, until } from '../fakes/proxy-mesh.ts';
import { type ProxyProcess, startProxyProcess, writeProxyConfig } from './proxy-process.ts';

const mebibyte = 1024 * 1024;
const streamBytes = 2048 * mebibyte;

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

/** Writes the whole stream as fast as it is taken, after `head`. `sent` counts what the kernel and Node took. */
async function source(head: string): Promise<{ port: number; sent: () => number }> {
  const piece = Buffer.alloc(mebibyte, 0x61);
  let sent = 0;
  const server = await mesh.server((socket) => {
    let hasBegun = false;
    const pump = (): void => {
      while (sent < streamBytes && !socket.destroyed) {
        sent += piece.length;
        if (!socket.write(piece)) return;
      }
    };
    socket.on('drain', pump);
    socket.on('data', () => {
      if (hasBegun) return;
      hasBegun = true;
      socket.write(head);
      pump();
    });
  });
  return { port: server.port, sent: () => sent };
}

async function rss(proxy: ProxyProcess): Promise<number> {
  const stats = JSON.parse((await get(proxy.adminPort, '/stats')).body) as StatsJson & {
    readonly memory: { readonly rssBytes: number };
  };
  return stats.memory.rssBytes;
}

/** Until the count has stood still for a second: nothing more fits anywhere. */
async function stalled(count: () => number): Promise<number> {
  let last = -1;
  for (let same = 0; same < 10; ) {
    await new Promise<void>((resolve) => setTimeout(resolve, 100));
    same = count() === last ? same + 1 : 0;
    last = count();
  }
  return last;
}

const plain = { name: 'in', address: '127.0.0.1:0', plaintext: true } as const;
const toApp = { routes: [{ prefix: '/', cluster: 'app' }] };
const webOnly = { allow: ['spiffe://mesh.test/web'] };
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n';
const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n';
const get1 = 'GET / HTTP/1.1\r\nHost: a\r\n';

/** Two sidecars in one process: the one that is asked dials the other in mutual TLS. */
function pair(first: object, cluster: object, second: object) {
  return (peerPort: number) => ({
    listeners: [
      { ...plain, ...first },
      {
        name: 'peer',
        address: `127.0.0.1:${peerPort}`,
        tls: { allow: ['spiffe://mesh.test/orders'] },
        ...second,
      },
    ],
    clusters: [
      {
        name: 'peer',
        endpoints: [`127.0.0.1:${peerPort}`],
        tls: { expect: ['spiffe://mesh.test/orders'] },
        ...cluster,
      },
    ],
  });
}

function single(listener: object) {
  return () => ({ listeners: [{ ...plain, ...listener }], clusters: [] as object[] });
}

const relay = { protocol: 'tcp', cluster: 'app' };
const toPeer = { routes: [{ prefix: '/', cluster: 'peer' }] };

test.for([
  ['a relay in plaintext', single(relay), '', `${get1}\r\n`],
  [
    'a relay in mutual TLS',
    single({ ...relay, plaintext: undefined, tls: webOnly }),
    '',
    `${get1}\r\n`,
  ],
  [
    'a relay from sidecar to sidecar',
    pair({ protocol: 'tcp', cluster: 'peer' }, {}, relay),
    '',
    `${get1}\r\n`,
  ],
  ['a response of HTTP/1.1', single({ protocol: 'http1', ...toApp }), ok, `${get1}\r\n`],
  [
    'a response of HTTP/2 between two sidecars, of HTTP/1.1 at the ends',
    pair({ protocol: 'http1', ...toPeer }, { protocol: 'http2' }, { protocol: 'http2', ...toApp }),
    ok,
    `${get1}\r\n`,
  ],
  [
    'a tunnel of HTTP/1.1',
    single({ protocol: 'http1', upgrades: ['raw'], ...toApp }),
    switched,
    `${get1}Connection: upgrade\r\nUpgrade: raw\r\n\r\n`,
  ],
] as const)('%s', { timeout: 180_000 }, async ([, made, head, request]) => {
  const app = await source(head);
  const sds = await mesh.readySds('/orders');
  const [peerPort = 0] = await freePorts(1);
  const { listeners, clusters } = made(peerPort);
  const config = writeProxyConfig(mesh, `back-pressure-${app.port}.yaml`, {
    sds: { socket: sds.path },
    listeners,
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }, ...clusters],
    timeouts: { idle: '10m', response: '10m', tunnelIdle: '10m' },
  });
  const proxy = await startProxyProcess(mesh, config);
  while ((await get(proxy.adminPort, '/readyz')).status !== 200);
  const isTls = 'tls' in (listeners[0] ?? {});
  const client = await connected(proxy.port, isTls);
  let read = 0;
  client.on('data', (bytes: Buffer) => {
    read += bytes.length;
    if (read > target) client.pause();
  });
  // Work first, so that what the runtime takes for itself is not counted.
  let target = 64 * mebibyte;
  client.write(request);
  await until(() => read > target);
  await stalled(app.sent);
  const before = await rss(proxy);
  let most = before;
  for (let stop = 1; stop <= 2; stop += 1) {
    target += 64 * mebibyte;
    client.resume();
    await until(() => read > target);
    const sent = await stalled(app.sent);
    // It is held back: far from all was taken off its hands, and what was lies in kernels and high marks.
    expect(sent - read).toBeLessThan(64 * mebibyte);
    most = Math.max(most, await rss(proxy));
  }
  expect(app.sent()).toBeLessThan(streamBytes);
  expect((most - before) / mebibyte).toBeLessThan(100);
  client.destroy();
  proxy.child.kill('SIGTERM');
});

const post = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${streamBytes}\r\n\r\n`;

test.for([
  { name: 'an upload of HTTP/1.1', made: single({ protocol: 'http1', ...toApp }), request: post },
  {
    name: 'an upload through HTTP/2 between two sidecars',
    made: pair(
      { protocol: 'http1', ...toPeer },
      { protocol: 'http2' },
      { protocol: 'http2', ...toApp },
    ),
    request: post,
  },
  { name: 'a relay', made: single(relay), request: 'a' },
  {
    name: 'a tunnel of HTTP/1.1',
    made: single({ protocol: 'http1', upgrades: ['raw'], ...toApp }),
    request: `${get1}Connection: upgrade\r\nUpgrade: raw\r\n\r\n`,
    answer: switched,
    begins: 'HTTP/1.1 101 ',
  },
  {
    name: 'a CONNECT that is dialled',
    made: single({
      protocol: 'http1',
      connect: [{ authority: 'db.test:1', cluster: 'app', dial: true }],
      ...toApp,
    }),
    request: 'CONNECT db.test:1 HTTP/1.1\r\nHost: db.test:1\r\n\r\n',
    begins: 'HTTP/1.1 200 ',
  },
])('$name to a server that stops reading', { timeout: 180_000 }, async (row) => {
  let target = 64 * mebibyte;
  let read = 0;
  const sockets: Socket[] = [];
  const app = await mesh.server((socket) => {
    sockets.push(socket);
    if (row.answer !== undefined) socket.once('data', () => socket.write(row.answer));
    socket.on('data', (bytes) => {
      read += bytes.length;
      if (read > target) socket.pause();
    });
  });
  const sds = await mesh.readySds('/orders');
  const [peerPort = 0] = await freePorts(1);
  const { listeners, clusters } = row.made(peerPort);
  const config = writeProxyConfig(mesh, `upload-${app.port}.yaml`, {
    sds: { socket: sds.path },
    listeners,
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }, ...clusters],
    timeouts: { idle: '10m', response: '10m', tunnelIdle: '10m' },
  });
  const proxy = await startProxyProcess(mesh, config);
  while ((await get(proxy.adminPort, '/readyz')).status !== 200);
  const client = await connected(proxy.port, false);
  let answered = '';
  client.on('data', (bytes) => {
    answered += String(bytes);
  });
  const piece = Buffer.alloc(mebibyte, 0x61);
  let sent = 0;
  const pump = (): void => {
    while (sent < streamBytes && !client.destroyed) {
      sent += piece.length;
      if (!client.write(piece)) return;
    }
  };
  client.write(row.request);
  const { begins } = row;
  if (begins !== undefined) await until(() => answered.startsWith(begins));
  client.on('drain', pump);
  pump();
  await until(() => read > target);
  await stalled(() => sent);
  const before = await rss(proxy);
  let most = before;
  for (let stop = 1; stop <= 2; stop += 1) {
    target += 64 * mebibyte;
    for (const socket of sockets) socket.resume();
    await until(() => read > target);
    expect((await stalled(() => sent)) - read).toBeLessThan(64 * mebibyte);
    most = Math.max(most, await rss(proxy));
  }
  expect(sent).toBeLessThan(streamBytes);
  expect((most - before) / mebibyte).toBeLessThan(100);
  client.destroy();
  proxy.child.kill('SIGTERM');
});

async function connected(port: number, isTls: boolean): Promise<Socket> {
  if (!isTls) {
    const socket = connectPlain({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    return socket;
  }
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    cert: leaf.chainPem,
    key: leaf.keyPem,
    rejectUnauthorized: false,
  });
  socket.on('error', () => {});
  return socket;
}
