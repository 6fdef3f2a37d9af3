/** A proxy on several cores: processes that share a port, each with its own stream of secrets, and one admin port. */

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateSecret } from '../fakes/fake-sds.ts';
import { get, okResponse, ProxyMesh, scripted, until } from '../fakes/proxy-mesh.ts';
import { startProxyProcess, writeProxyConfig } from './proxy-process.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

interface Stats {
  readonly workers: readonly { readonly pid: number; readonly tlsGeneration: number }[];
  readonly listeners: Record<string, Record<string, number>>;
  readonly tlsGeneration: number;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('workers serve one port, are counted together, replaced when one dies, and all gone at the end', async () => {
  const app = await mesh.server(scripted(() => okResponse('hello')));
  const made = await mesh.readySds('/orders');
  const port = await freePort();
  const config = writeProxyConfig(mesh, 'workers.yaml', {
    workers: 2,
    accessLog: join(mesh.directory, 'access.log'),
    sds: { socket: made.path },
    listeners: [
      {
        name: 'in',
        address: `127.0.0.1:${port}`,
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
      {
        name: 'secure',
        address: `127.0.0.1:${await freePort()}`,
        tls: { allow: ['spiffe://mesh.test/web'] },
        protocol: 'tcp',
        cluster: 'app',
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    timeouts: { drain: '5s' },
  });
  const { child, log } = await startProxyProcess(mesh, config);
  await until(() => log().includes('workers started') || child.exitCode !== null);
  const line =
    log()
      .split('\n')
      .find((each) => each.includes('workers started')) ?? '{}';
  const { adminPort } = JSON.parse(line) as { adminPort: number };
  const stats = async (): Promise<Stats> =>
    JSON.parse((await get(adminPort, '/stats')).body) as Stats;
  while ((await get(adminPort, '/readyz')).status !== 200);

  // Each has its own two streams of secrets.
  expect(made.sds.streamCount()).toBe(4);
  const before = await stats();
  expect(new Set(before.workers.map(({ pid }) => pid)).size).toBe(2);
  for (let count = 0; count < 20; count += 1) expect((await get(port, '/')).status).toBe(200);
  expect((await stats()).listeners['in']).toMatchObject({ requests: 20 });
  const metrics = (await get(adminPort, '/metrics')).body;
  expect(metrics).toContain('signet_proxy_listener_requests_total{listener="in"} 20');
  expect(metrics).toContain('signet_proxy_sds_streams_total');

  // What each has of its own stands in a list.
  const listOf = async (path: string): Promise<readonly unknown[]> => {
    const { status, body } = await get(adminPort, path);
    expect(status).toBe(200);
    return (JSON.parse(body) as { workers: readonly unknown[] }).workers;
  };
  const certificates = await listOf('/certs');
  expect(certificates).toHaveLength(2);
  for (const each of certificates)
    expect(JSON.stringify(each)).toContain('spiffe://mesh.test/orders');
  const listeners = await listOf('/listeners');
  expect(listeners).toHaveLength(2);
  for (const each of listeners) expect(JSON.stringify(each)).toContain(`"port":${port}`);
  expect(await get(adminPort, '/livez')).toMatchObject({ status: 200 });
  expect((await get(adminPort, '/nothing')).status).toBe(404);

  // A new certificate reaches all of them.
  made.sds.set(certificateSecret(await mesh.pki.issueLeaf({ id: '/orders' })));
  while ((await stats()).tlsGeneration <= before.tlsGeneration);

  // One dies: the other serves on, and another takes its place.
  const [victim] = before.workers;
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  await until(() => log().includes('a worker ended and is replaced'));
  while ((await get(adminPort, '/readyz')).status !== 200);
  const after = await stats();
  expect(after.workers.length).toBe(2);
  expect(after.workers.map(({ pid }) => pid)).not.toContain(victim?.pid);
  expect((await get(port, '/')).status).toBe(200);

  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
  for (const { pid } of after.workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('if the port cannot be had the command says so and ends, with all its workers', async () => {
  const taken = await mesh.server(() => {});
  const config = writeProxyConfig(mesh, 'taken-workers.yaml', {
    workers: 2,
    accessLog: 'off',
    listeners: [
      {
        name: 'in',
        address: `127.0.0.1:${taken.port}`,
        plaintext: true,
        protocol: 'tcp',
        cluster: 'app',
      },
    ],
    clusters: [{ name: 'app', endpoints: ['127.0.0.1:9'] }],
  });
  const { child, log } = await startProxyProcess(mesh, config);
  await until(() => child.exitCode !== null);
  expect(child.exitCode).not.toBe(0);
  expect(log()).toContain(`127.0.0.1:${taken.port} is in use`);
  expect(log()).toMatch(/worker \d ended before it served/);
});
