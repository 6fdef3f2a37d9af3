import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { get, ProxyMesh } from '../test/fakes/proxy-mesh.ts';

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
