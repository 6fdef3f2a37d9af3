/** The pool as requests meet it: bounded, shared, let go when idle, and spread over endpoints. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  get,
  okResponse,
  ProxyMesh,
  scripted,
  type TestSidecar,
  until,
} from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

function start(
  ports: readonly number[],
  more: Record<string, unknown> = {},
  timeouts: Record<string, string> = {},
): Promise<TestSidecar> {
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
    clusters: [{ name: 'app', endpoints: ports.map((port) => `127.0.0.1:${port}`), ...more }],
    timeouts: { drain: '50ms', ...timeouts },
  });
}

const pool = async (sidecar: TestSidecar): Promise<Record<string, number>> =>
  (await sidecar.stats()).clusters['app'] ?? {};

test('at its bound requests wait in turn for the connections there are', async () => {
  const app = await mesh.server(scripted(() => okResponse('x')));
  const sidecar = await start([app.port], { connectionsMax: 2 });
  const port = sidecar.port('in');
  const answers = await Promise.all(Array.from({ length: 20 }, () => get(port, '/')));
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 20 }, () => 200));
  expect(app.sockets.length).toBeLessThanOrEqual(2);
  expect(await pool(sidecar)).toMatchObject({ connectionsOpened: app.sockets.length });
});

test('nobody waits longer than allowed for a connection that others hold', async () => {
  let answer = (): void => {};
  const app = await mesh.server((socket) => {
    socket.once('data', () => {
      answer = () => void socket.write(okResponse('x'));
    });
  });
  const timeouts = { connect: '100ms', wait: '300ms' };
  const sidecar = await start([app.port], { connectionsMax: 1 }, timeouts);
  const first = get(sidecar.port('in'), '/first');
  await until(() => app.sockets.length === 1);
  const late = await get(sidecar.port('in'), '/late');
  expect(late.status).toBe(503);
  expect(late.body).toBe('no connection to cluster app: none was free in time\n');
  expect(await pool(sidecar)).toMatchObject({ waitTimeouts: 1, connectionsActive: 1 });
  answer();
  expect((await first).status).toBe(200);
});

test('endpoints take turns, and one that is gone costs no request', async () => {
  const first = await mesh.server(scripted(() => okResponse('1')));
  const second = await mesh.server(scripted(() => okResponse('2')));
  const gone = await mesh.server(() => {});
  gone.close();
  const sidecar = await start([first.port, second.port, gone.port]);
  const bodies: string[] = [];
  for (let count = 0; count < 9; count += 1) {
    const answer = await get(sidecar.port('in'), '/', { method: 'POST' });
    expect(answer.status).toBe(200);
    bodies.push(answer.body);
  }
  expect(bodies).toContain('1');
  expect(bodies).toContain('2');
  expect((await pool(sidecar))['connectionsFailed']).toBeGreaterThan(0);
});

test('a server that says how long it keeps a connection is left before that', async () => {
  const app = await mesh.server(scripted(() => okResponse('x', 'Keep-Alive: timeout=1\r\n')));
  const patient = await mesh.server(scripted(() => okResponse('x', 'Keep-Alive: timeout=100\r\n')));
  const sidecars = [await start([app.port]), await start([patient.port])] as const;
  for (const sidecar of sidecars) await get(sidecar.port('in'), '/');
  await until(() => app.sockets[0]?.readableEnded === true);
  expect(await pool(sidecars[0])).toMatchObject({ connectionsActive: 0, connectionsIdle: 0 });
  expect(await pool(sidecars[1])).toMatchObject({ connectionsActive: 1, connectionsIdle: 1 });
});

test('a waiting request whose client leaves is forgotten', async () => {
  let answer = (): void => {};
  const app = await mesh.server((socket) => {
    socket.on('data', () => {
      answer = () => void socket.write(okResponse('x'));
    });
  });
  const sidecar = await start([app.port], { connectionsMax: 1 });
  const first = get(sidecar.port('in'), '/first');
  await until(() => app.sockets.length === 1);
  const leave = new AbortController();
  const leaving = get(sidecar.port('in'), '/leaving', { signal: leave.signal });
  const refused = expect(leaving).rejects.toThrow();
  let seen = (await sidecar.stats()).listeners['in'] ?? {};
  // Only a request that has been read can be waiting.
  while (seen['requests'] !== 2) seen = (await sidecar.stats()).listeners['in'] ?? {};
  leave.abort();
  await refused;
  answer();
  expect((await first).status).toBe(200);
  while (seen['clientAborts'] !== 1) seen = (await sidecar.stats()).listeners['in'] ?? {};
  expect(await pool(sidecar)).toMatchObject({ connectionsIdle: 1 });
});
