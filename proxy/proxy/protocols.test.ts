/** A protocol that the proxy does not know is a row in the table, and has detection, routes and pools for it. */

import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom, silentLogger, systemClock } from '../../core/index.ts';
import {
  get,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  until,
} from '../../test/fakes/proxy-mesh.ts';
import { ToySession, toyFrame, toyType } from '../../test/fakes/toy-codec.ts';
import { toyProtocol } from '../../test/fakes/toy-protocol.ts';
import { parseProxyConfig } from '../config.ts';
import { startProxy } from '../proxy.ts';
import { protocols } from './protocols.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

/** `auto` in front of a toy server, an HTTP/1.1 server and a relay to neither. */
async function start(toyPort: number, http1Port: number): Promise<number> {
  const config = parseProxyConfig(
    JSON.stringify({
      node: { id: 'test' },
      admin: '127.0.0.1:0',
      accessLog: 'off',
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'auto',
          routes: [
            { prefix: '/toy', cluster: 'toys' },
            { prefix: '/', cluster: 'web' },
          ],
        },
      ],
      clusters: [
        { name: 'toys', endpoints: [`127.0.0.1:${toyPort}`], connectionsMax: 1 },
        { name: 'web', endpoints: [`127.0.0.1:${http1Port}`] },
      ],
      timeouts: { drain: '50ms' },
    }),
    'test.yaml',
  );
  // The file takes the names of the proxy's own table alone.
  const clusters = config.clusters.map((each) =>
    each.name === 'toys' ? { ...each, protocol: 'toy' } : each,
  );
  const deps = { clock: systemClock, random: seededRandom(1), log: silentLogger };
  const proxy = await startProxy(
    { ...config, clusters },
    { ...deps, stdout: new PassThrough(), protocols: [toyProtocol, ...protocols] },
  );
  mesh.scope.add(proxy);
  return proxy.listeners[0]?.port ?? 0;
}

test('its calls are found out, routed, pooled on one connection, and answered in any order', async () => {
  const held: (() => void)[] = [];
  const toys = await mesh.server((socket) => {
    const session = new ToySession({
      onFault: () => socket.destroy(),
      onCall: ({ id }, payload) =>
        void held.push(() => {
          session.send(toyType.response, id, `200 <${payload.toString()}>`);
          for (const part of session.takeOutput()) socket.write(part);
        }),
    });
    socket.on('data', (bytes) => session.receive(Buffer.from(bytes)));
  });
  const web = await mesh.server(scripted(() => okResponse('web')));
  const port = await start(toys.port, web.port);
  // Two clients choose the same IDs, and each has its own answers.
  const clients = [new RawClient(port), new RawClient(port)];
  for (const [at, client] of clients.entries()) {
    for (const id of [1, 2]) {
      for (const octet of toyFrame(toyType.request, id, Buffer.from(`${at}.${id}`))) {
        client.socket.write(Buffer.of(octet));
      }
    }
  }
  await until(() => held.length === 4);
  for (const answer of held.toReversed()) answer();
  for (const [at, client] of clients.entries()) {
    await client.read((text) => text.includes(`<${at}.1>`) && text.includes(`<${at}.2>`));
    expect(client.text).not.toContain(`<${1 - at}.`);
    client.close();
  }
  expect(toys.sockets).toHaveLength(1);
  // HTTP/1.1 on the same port is served as ever, and may call it too.
  expect((await get(port, '/')).body).toBe('web');
  const asked = get(port, '/toy', { method: 'POST', body: 'from afar' });
  await until(() => held.length === 5);
  held[4]?.();
  expect(await asked).toMatchObject({ status: 200, body: '<from afar>' });
});

test('a call that nobody can take is answered in its own words', async () => {
  const gone = await mesh.server(() => {});
  gone.close();
  const port = await start(gone.port, gone.port);
  const client = new RawClient(port);
  client.socket.write(toyFrame(toyType.request, 9, Buffer.from('x')));
  const answer = await client.read((text) => text.includes('503'));
  expect(answer.slice(0, 6)).toBe('\xee\x02\0\0\0\x09');
  client.close();
});
