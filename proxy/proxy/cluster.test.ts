/** Endpoints in turn, as requests meet them: one that is gone is passed over, and used again when it is back. */

import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { get, okResponse, ProxyMesh, scripted } from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

test('an endpoint that is gone is dialled once in a while, and has its turn again when it is back', async () => {
  const there = await mesh.server(scripted(() => okResponse('there')));
  const gone = await mesh.server(() => {});
  gone.close();
  const clock = new ManualClock(0);
  const sidecar = await mesh.sidecar(
    undefined,
    {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'http1',
          routes: [{ prefix: '/', cluster: 'app' }],
        },
      ],
      clusters: [{ name: 'app', endpoints: [`127.0.0.1:${there.port}`, `127.0.0.1:${gone.port}`] }],
    },
    clock,
  );
  const bodies = async (count: number): Promise<string[]> => {
    const all: string[] = [];
    for (let at = 0; at < count; at += 1) all.push((await get(sidecar.port('in'), '/')).body);
    return all;
  };
  expect(new Set(await bodies(20))).toEqual(new Set(['there']));
  const { app } = (await sidecar.stats()).clusters;
  expect(app).toMatchObject({ connectionsFailed: 1 });
  expect(app?.['endpointsPassedOver']).toBeGreaterThan(5);

  const back = createServer((socket) => scripted(() => okResponse('back'))(socket));
  await new Promise<void>((resolve) => back.listen(gone.port, '127.0.0.1', resolve));
  mesh.scope.onClose(() => void back.close());
  await clock.advance(1000);
  expect((await bodies(4)).toSorted()).toEqual(['back', 'back', 'there', 'there']);
});

test('the only endpoint there is is asked each time', async () => {
  const gone = await mesh.server(() => {});
  gone.close();
  const sidecar = await mesh.plain(gone.port);
  for (let count = 0; count < 3; count += 1) {
    expect((await get(sidecar.inPort, '/')).status).toBe(503);
  }
  expect((await sidecar.stats()).clusters['app']).toMatchObject({
    connectionsFailed: 3,
    endpointsPassedOver: 0,
  });
});
