import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { get, ProxyMesh, RawClient, settled, until } from '../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

test('a request goes through two sidecars in mutual TLS, and the server learns who asked', async () => {
  const app = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  mesh.scope.onClose(() => void app.close());
  const { port } = await mesh.pair((app.address() as AddressInfo).port);
  const answer = await get(port, '/orders/7', {
    headers: { 'x-forwarded-client-cert': 'URI=spiffe://mesh.test/admin' },
  });
  expect(answer.status).toBe(200);
  const seen = JSON.parse(answer.body) as Record<string, string>;
  expect(seen['x-forwarded-client-cert']).toBe('URI=spiffe://mesh.test/web');
  expect(seen['x-forwarded-proto']).toBe('https');
  expect(seen['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
});

test('a big body goes both ways through two hops of TLS, whole, and waits for a slow reader', async () => {
  const size = 24 * 1024 * 1024;
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`;
  const pattern = Buffer.alloc(size, '0123456789abcdef');
  let uploaded = 0;
  const app = await mesh.server((socket) => {
    socket.on('data', (bytes) => {
      uploaded += bytes.length;
      if (uploaded < size) return;
      socket.write(head);
      socket.write(pattern);
    });
  });
  const { port } = await mesh.pair(app.port);
  const client = new RawClient(port);
  client.socket.pause();
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  client.socket.write(pattern);
  await until(() => uploaded >= size);
  const held = await settled(() => app.sockets[0]?.writableLength ?? 0);
  expect(held).toBeGreaterThan(size / 2);
  client.socket.resume();
  await until(() => client.text.length >= size + head.length);
  expect(Buffer.from(client.text.slice(-size), 'latin1').equals(pattern)).toBe(true);
  client.close();
});
