/** Secrets that change under traffic: nothing fails, nothing restarts, and what is new is soon in use. */

import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { validationSecret } from '../test/fakes/fake-sds.ts';
import {
  okResponse,
  ProxyMesh,
  scripted,
  type TestSidecar,
  until,
} from '../test/fakes/proxy-mesh.ts';
import { rotate } from '../test/fakes/rotating-pair.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

interface Traffic {
  /** Resolves after so many further requests. */
  more(count: number): Promise<void>;
  stop(): Promise<{ sent: number; failed: string[] }>;
}

/** Requests one after the other over kept connections, until told to stop. */
function traffic(port: number): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const stopping = new AbortController();
  let sent = 0;
  const failed: string[] = [];
  const one = (method: string, body: string): Promise<void> =>
    new Promise((resolve) => {
      const request = httpRequest({ port, agent, method }, (response) => {
        if (response.statusCode !== 200) failed.push(`status ${response.statusCode}`);
        response.resume().on('end', resolve);
      });
      request.on('error', (error) => {
        failed.push(error.message);
        resolve();
      });
      request.end(body);
    });
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await one(sent % 2 === 0 ? 'GET' : 'POST', sent % 2 === 0 ? '' : 'a body');
      sent += 1;
    }
  };
  const runs = [run(), run(), run(), run()];
  return {
    more: (count) => {
      const target = sent + count;
      return until(() => sent >= target);
    },
    async stop() {
      stopping.abort();
      await Promise.all(runs);
      agent.destroy();
      return { sent, failed };
    },
  };
}

async function trust(sidecar: TestSidecar, pem: string): Promise<void> {
  const before = sidecar.proxy.material.current()?.trust;
  sidecar.sds?.set(validationSecret({ 'mesh.test': pem }));
  await until(() => sidecar.proxy.material.current()?.trust !== before);
}

/** Reads the body of each request, then answers. */
const app = scripted((head) => okResponse(head.startsWith('POST') ? 'posted' : 'got'));

test('certificates and then the root change on both sides, and not one request fails', async () => {
  const { port: appPort } = await mesh.server((socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.startsWith('POST') && !text.endsWith('a body')) return;
      text = '';
      socket.write(okResponse('ok'));
    });
    socket.on('end', () => socket.end());
  });
  const { web, orders, port } = await mesh.pair(appPort);
  const load = traffic(port);
  for (let round = 0; round < 5; round += 1) {
    await rotate(orders, mesh.pki, '/orders');
    await load.more(10);
    await rotate(web, mesh.pki, '/web');
    await load.more(10);
  }
  // Root rotation as the CA does it: the new root is trusted everywhere, then used, then the old one goes.
  const next = await makeTestPki({ nowMs: Date.now() });
  const both = mesh.pki.anchorsPem + next.anchorsPem;
  await trust(orders, both);
  await trust(web, both);
  await load.more(10);
  await rotate(orders, next, '/orders');
  await load.more(10);
  await rotate(web, next, '/web');
  await load.more(10);
  await trust(orders, next.anchorsPem);
  await trust(web, next.anchorsPem);
  await load.more(10);
  const generation = web.proxy.material.current()?.generation ?? 0;
  const { clusters } = await web.stats();
  const { sent, failed } = await load.stop();
  expect(failed).toEqual([]);
  expect(sent).toBeGreaterThan(100);
  expect(clusters['orders']?.['connectionsOpened']).toBeGreaterThan(5);
  expect(generation).toBeGreaterThanOrEqual(8);
});

test('a live connection outlives the swap, and a new one sees the new certificate', async () => {
  const { port: appPort } = await mesh.server(app);
  const { orders } = await mesh.pair(appPort);
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const dial = (): ReturnType<typeof connect> =>
    connect({
      port: orders.port('in'),
      cert: leaf.chainPem,
      key: leaf.keyPem,
      rejectUnauthorized: false,
    });
  const live = dial();
  let text = '';
  live.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  live.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => text.endsWith('got'));
  await rotate(orders, mesh.pki, '/orders');
  text = '';
  live.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => text.endsWith('got'));
  const fresh = dial();
  await new Promise<void>((resolve) => fresh.once('secureConnect', resolve));
  const serial = fresh.getPeerX509Certificate()?.serialNumber.toLowerCase();
  expect(serial).toBe(orders.proxy.material.current()?.identity.chain[0]?.serial);
  expect(serial).not.toBe(live.getPeerX509Certificate()?.serialNumber.toLowerCase());
  live.destroy();
  fresh.destroy();
});

test('a connection pooled under the old certificate takes no new request', async () => {
  const { port: appPort } = await mesh.server(app);
  const { web, port } = await mesh.pair(appPort);
  const once = async (): Promise<void> => {
    const load = traffic(port);
    const { failed } = await load.stop();
    expect(failed).toEqual([]);
  };
  await once();
  const opened = (await web.stats()).clusters['orders'] ?? {};
  expect(opened['connectionsIdle']).toBeGreaterThan(0);
  await rotate(web, mesh.pki, '/web');
  expect((await web.stats()).clusters['orders']).toMatchObject({ connectionsIdle: 0 });
  await once();
  const after = (await web.stats()).clusters['orders'] ?? {};
  expect(after['connectionsOpened']).toBeGreaterThan(opened['connectionsOpened'] ?? 0);
});
