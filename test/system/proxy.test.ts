/** The sidecar as a process: fed by SDS, stopped by a signal, and clear about what it cannot have. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateSecret } from '../fakes/fake-sds.ts';
import { get, okResponse, ProxyMesh, scripted } from '../fakes/proxy-mesh.ts';
import { startProxyProcess, writeProxyConfig } from './proxy-process.ts';
import { runSignet } from './signet-command.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

test('a process takes its secrets by SDS, serves, swaps, drains at SIGTERM and keeps its id', async () => {
  const app = await mesh.server(scripted(() => okResponse('hello')));
  const made = await mesh.readySds('/orders');
  const config = writeProxyConfig(mesh, 'proxy.yaml', {
    sds: { socket: made.path },
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        tls: { allow: ['spiffe://mesh.test/*'] },
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
  });
  const { child, port, adminPort, lines } = await startProxyProcess(mesh, config);
  let status = 0;
  while (status !== 200) status = (await get(adminPort, '/readyz')).status;
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const ask = async (): Promise<{ text: string; serial: string | undefined }> => {
    const socket = connect({
      port,
      cert: leaf.chainPem,
      key: leaf.keyPem,
      rejectUnauthorized: false,
    });
    let text = '';
    let serial: string | undefined;
    socket.on('secureConnect', () => {
      serial = socket.getPeerX509Certificate()?.serialNumber.toLowerCase();
    });
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    socket.write('GET /x?secret=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await once(socket, 'close');
    return { text, serial };
  };
  const first = await ask();
  expect(first.text).toMatch(/^HTTP\/1.1 200 OK[^]*hello$/);

  const next = await mesh.pki.issueLeaf({ id: '/orders' });
  made.sds.set(certificateSecret(next));
  let serial = first.serial;
  while (serial === first.serial) ({ serial } = await ask());
  expect(serial).toBe(next.certificate.serial);
  expect(child.exitCode).toBe(null);

  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
  const entry = JSON.parse(lines()[0] ?? '{}') as Record<string, unknown>;
  expect(entry).toMatchObject({ path: '/x', status: 200, peer: 'spiffe://mesh.test/web' });
});

test.skipIf(process.platform !== 'linux')(
  'no core is dumped of a proxy, by a file or by a program that takes dumps',
  async () => {
    const config = writeProxyConfig(mesh, 'core.yaml', {
      listeners: [
        { name: 'in', address: '127.0.0.1:0', plaintext: true, protocol: 'tcp', cluster: 'app' },
      ],
      clusters: [{ name: 'app', endpoints: ['127.0.0.1:9'] }],
    });
    const { child } = await startProxyProcess(mesh, config);
    const limits = readFileSync(`/proc/${child.pid}/limits`, 'utf8');
    expect(limits).toMatch(/^Max core file size +1 +1 +bytes/m);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  },
);

test('a port in use is one line that names it, and exit code 2', async () => {
  const taken = await mesh.server(() => {});
  const config = (port: number): string =>
    writeProxyConfig(mesh, `taken-${port}.yaml`, {
      listeners: [
        {
          name: 'in',
          address: `127.0.0.1:${port}`,
          plaintext: true,
          protocol: 'tcp',
          cluster: 'app',
        },
      ],
      clusters: [{ name: 'app', endpoints: ['127.0.0.1:9'] }],
    });
  const { code, stderr } = await runSignet(['proxy', 'run', '--config', config(taken.port)]);
  expect(code).toBe(2);
  expect(stderr.trim().split('\n')).toEqual([
    expect.stringMatching(new RegExp(`^signet: listener in: 127.0.0.1:${taken.port} is in use`)),
  ]);
  const free = await startProxyProcess(mesh, config(0));
  expect(free.port).toBeGreaterThan(0);
  free.child.kill('SIGTERM');
  await once(free.child, 'exit');
});
