/** The pool of HTTP/2 as requests meet it where the server says no word. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createTlsServer } from 'node:tls';
import { rotate } from '../../test/fakes/rotating-pair.ts';
import { get, isReady, ProxyMesh, type TestSidecar, until } from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

function start(port: number, timeouts: Record<string, string> = {}): Promise<TestSidecar> {
  return mesh.sidecar(undefined, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${port}`], protocol: 'http2' }],
    timeouts: { drain: '50ms', ...timeouts },
  });
}

const pool = async (sidecar: TestSidecar): Promise<Record<string, number>> =>
  (await sidecar.stats()).clusters['app'] ?? {};

const many = (port: number): Promise<{ status: number }[]> =>
  Promise.all(Array.from({ length: 50 }, () => get(port, '/')));

test('a server that accepts and breaks off without a word is dialled once for all who wait', async () => {
  const app = await mesh.server(() => {});
  const sidecar = await start(app.port);
  const answers = many(sidecar.port('in'));
  let requests = 0;
  while (requests < 50) requests = (await sidecar.stats()).listeners['in']?.['requests'] ?? 0;
  app.sockets[0]?.destroy();
  for (const { status } of await answers) expect(status).toBe(503);
  expect(app.sockets).toHaveLength(1);
});

test('nobody waits longer than allowed for a server that says no word', async () => {
  const app = await mesh.server(() => {});
  const sidecar = await start(app.port, { connect: '100ms', wait: '300ms' });
  for (const { status } of await many(sidecar.port('in'))) expect(status).toBe(503);
  expect(await pool(sidecar)).toMatchObject({ waitTimeouts: 50 });
});

test('a connection that a new certificate ends before its first stream costs no request', async () => {
  const leaf = await mesh.pki.issueLeaf({ id: '/orders' });
  const http2 = createHttp2Server((_request, response) => void response.end('hello'));
  let connections = 0;
  const server = createTlsServer(
    {
      cert: leaf.chainPem,
      key: leaf.keyPem,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    },
    (socket) => {
      socket.on('error', () => {});
      connections += 1;
      // The first is silent, so that all requests wait for it.
      if (connections > 1) http2.emit('connection', socket);
      else socket.resume();
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  mesh.scope.onClose(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const web = await mesh.sidecar(await mesh.readySds('/web'), {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [
      {
        name: 'app',
        endpoints: [`127.0.0.1:${port}`],
        protocol: 'http2',
        tls: { expect: ['spiffe://mesh.test/orders'] },
      },
    ],
    timeouts: { drain: '50ms' },
  });
  await until(() => isReady(web));
  const answers = many(web.port('in'));
  let requests = 0;
  await until(() => connections === 1);
  while (requests < 50) {
    requests = (await web.stats()).listeners['in']?.['requests'] ?? 0;
  }
  await rotate(web, mesh.pki, '/web');
  for (const { status } of await answers) expect(status).toBe(200);
  expect(connections).toBe(2);
});
