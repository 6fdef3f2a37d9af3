/** A stream of 2 GiB to a reader that stops: the proxy's memory stays as it was, each hop waits for the next. */

import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

const http = 'HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n';

test.for([
  ['a relay in plaintext', { protocol: 'tcp', cluster: 'app', plaintext: true }, ''],
  [
    'a relay in mutual TLS',
    { protocol: 'tcp', cluster: 'app', tls: { allow: ['spiffe://mesh.test/web'] } },
    '',
  ],
  [
    'a response of HTTP/1.1',
    { protocol: 'http1', routes: [{ prefix: '/', cluster: 'app' }], plaintext: true },
    http,
  ],
] as const)('%s', { timeout: 180_000 }, async ([, listener, head]) => {
  const app = await source(head);
  const made = await mesh.readySds('/orders');
  const config = writeProxyConfig(mesh, `back-pressure-${app.port}.yaml`, {
    sds: { socket: made.path },
    listeners: [{ name: 'in', address: '127.0.0.1:0', ...listener }],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    timeouts: { idle: '10m', response: '10m' },
  });
  const proxy = await startProxyProcess(mesh, config);
  while ((await get(proxy.adminPort, '/readyz')).status !== 200);
  const client = await connected(proxy.port, 'tls' in listener);
  let read = 0;
  client.on('data', (bytes: Buffer) => {
    read += bytes.length;
    if (read > target) client.pause();
  });
  // Work first, so that what the runtime takes for itself is not counted.
  let target = 64 * mebibyte;
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => read > target);
  await stalled(app.sent);
  const before = await rss(proxy);
  let most = before;
  for (let stop = 1; stop <= 4; stop += 1) {
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

test('an upload of HTTP/1.1 to a server that stops reading', { timeout: 180_000 }, async () => {
  let target = 64 * mebibyte;
  let read = 0;
  const sockets: Socket[] = [];
  const app = await mesh.server((socket) => {
    sockets.push(socket);
    socket.on('data', (bytes) => {
      read += bytes.length;
      if (read > target) socket.pause();
    });
  });
  const config = writeProxyConfig(mesh, `upload-${app.port}.yaml`, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
        plaintext: true,
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    timeouts: { idle: '10m', response: '10m' },
  });
  const proxy = await startProxyProcess(mesh, config);
  while ((await get(proxy.adminPort, '/readyz')).status !== 200);
  const client = await connected(proxy.port, false);
  const piece = Buffer.alloc(mebibyte, 0x61);
  let sent = 0;
  const pump = (): void => {
    while (sent < streamBytes && !client.destroyed) {
      sent += piece.length;
      if (!client.write(piece)) return;
    }
  };
  client.on('drain', pump);
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${streamBytes}\r\n\r\n`);
  pump();
  await until(() => read > target);
  await stalled(() => sent);
  const before = await rss(proxy);
  let most = before;
  for (let stop = 1; stop <= 4; stop += 1) {
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
