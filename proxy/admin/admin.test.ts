import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ListenError } from '../../rpc/index.ts';
import { hostileTargets, statusLineOf } from '../../test/fakes/hostile-targets.ts';
import {
  get,
  isReady,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  until,
} from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

test('the admin port shows listeners, counters and certificates, and no byte of a key', async () => {
  const app = await mesh.server(scripted(() => okResponse('x')));
  const { web, port } = await mesh.pair(app.port);
  expect((await get(port, '/')).status).toBe(200);
  const admin = web.proxy.adminPort;
  const listeners = JSON.parse((await get(admin, '/listeners')).body) as unknown;
  expect(listeners).toEqual({
    listeners: [{ name: 'out', host: '127.0.0.1', port, protocol: 'http1', tls: false }],
  });
  const certs = (await get(admin, '/certs')).body;
  expect(JSON.parse(certs)).toMatchObject({
    identity: {
      spiffeId: 'spiffe://mesh.test/web',
      chain: [{ uris: ['spiffe://mesh.test/web'] }, { uris: ['spiffe://mesh.test'] }],
    },
    trust: { bundles: [{ trustDomain: 'mesh.test', authorities: [{}] }] },
  });
  const whole = certs + (await get(admin, '/stats')).body + (await get(admin, '/metrics')).body;
  expect(whole).not.toMatch(/PRIVATE|BEGIN/);
  expect((await get(admin, '/metrics')).body).toContain(
    '# TYPE signet_proxy_listener_requests_total counter\nsignet_proxy_listener_requests_total{listener="out"} 1\n',
  );
  expect((await get(admin, '/stats?format=prometheus')).body).toContain(
    'signet_proxy_sds_connected{secret="default"} 1',
  );
  expect((await get(admin, '/nothing')).status).toBe(404);
  expect((await get(admin, '/stats', { method: 'POST' })).status).toBe(405);
});

test.each(hostileTargets)('%s is refused, and the next request is served', async (target) => {
  const sidecar = await mesh.sidecar(undefined, {
    listeners: [
      { name: 'in', address: '127.0.0.1:0', plaintext: true, protocol: 'tcp', cluster: 'app' },
    ],
    clusters: [{ name: 'app', endpoints: ['127.0.0.1:9'] }],
  });
  const port = sidecar.proxy.adminPort;
  expect(await statusLineOf({ port }, target)).toBe('HTTP/1.1 400 Bad Request');
  expect(await statusLineOf({ port }, '/livez')).toBe('HTTP/1.1 200 OK');
});

test('a port in use is one line that names it, and nothing of the proxy stays', async () => {
  const taken = await mesh.server(() => {});
  const start = mesh.sidecar(undefined, {
    listeners: [
      { name: 'first', address: '127.0.0.1:0', plaintext: true, protocol: 'tcp', cluster: 'app' },
      {
        name: 'second',
        address: `127.0.0.1:${taken.port}`,
        plaintext: true,
        protocol: 'tcp',
        cluster: 'app',
      },
    ],
    clusters: [{ name: 'app', endpoints: ['127.0.0.1:9'] }],
  });
  await expect(start).rejects.toThrow(ListenError);
  await expect(start).rejects.toThrow(`listener second: 127.0.0.1:${taken.port} is in use`);
});

test('an access log that cannot be opened is an error at start', async () => {
  const config = (accessLog: string): Record<string, unknown> => ({
    accessLog,
    listeners: [
      { name: 'in', address: '127.0.0.1:0', plaintext: true, protocol: 'tcp', cluster: 'app' },
    ],
    clusters: [{ name: 'app', endpoints: ['127.0.0.1:9'] }],
  });
  const start = mesh.sidecar(undefined, config(`${mesh.directory}/none/access.log`));
  await expect(start).rejects.toThrow('cannot open the access log');
  const path = `${mesh.directory}/access.log`;
  await (await mesh.sidecar(undefined, config(path))).proxy.close();
  expect(existsSync(path)).toBe(true);
});

test('closing lets the request under way end, takes no other, and says so', async () => {
  let answer = (): void => {};
  const app = await mesh.server((socket) => {
    socket.once('data', () => {
      answer = () => void socket.write(okResponse('late'));
    });
  });
  const sidecar = await mesh.plain(app.port, { timeouts: { drain: '5s' } });
  const busy = new RawClient(sidecar.inPort);
  const idle = new RawClient(sidecar.inPort);
  busy.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => app.sockets.length === 1);
  await until(() => idle.socket.readyState === 'open');
  const closing = sidecar.proxy.close();
  expect(await idle.readAll()).toBe('');
  const late = new RawClient(sidecar.inPort);
  await until(() => late.isClosed);
  expect((await get(sidecar.proxy.adminPort, '/readyz')).status).toBe(503);
  answer();
  expect(await busy.readAll()).toMatch(/Connection: close[^]*late$/);
  await closing;
  for (const client of [busy, idle]) client.close();
});

test('connections over the limit are closed and counted', async () => {
  const app = await mesh.server(scripted(() => okResponse('x')));
  const sidecar = await mesh.sidecar(undefined, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'tcp',
        cluster: 'app',
        connectionsMax: 1,
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    timeouts: { drain: '50ms' },
  });
  const first = new RawClient(sidecar.port('in'));
  await until(() => app.sockets.length === 1);
  const second = new RawClient(sidecar.port('in'));
  await until(() => second.isClosed || second.isEnded);
  expect((await sidecar.stats()).listeners['in']).toMatchObject({ connectionsOverLimit: 1 });
  first.close();
  let active = 1;
  while (active > 0) active = (await sidecar.stats()).listeners['in']?.['connectionsActive'] ?? 0;
  const third = new RawClient(sidecar.port('in'));
  await until(() => app.sockets.length === 2);
  third.close();
  second.close();
});

test('a proxy without TLS is ready without a secret', async () => {
  const sidecar = await mesh.plain(9);
  expect((await get(sidecar.proxy.adminPort, '/readyz')).status).toBe(200);
  expect(isReady(sidecar)).toBe(false);
});
