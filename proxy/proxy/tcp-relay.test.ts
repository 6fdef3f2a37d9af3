import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProxyMesh, RawClient, settled, until } from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

test('bytes go both ways through mutual TLS, and each direction ends on its own', async () => {
  const app = await mesh.server((socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    // The answer comes only after the end of the question.
    socket.on('end', () => socket.end(`you said ${text}`));
  });
  const { port, web, orders } = await mesh.pair(app.port, { protocol: 'tcp' });
  const client = new RawClient(port);
  client.send('hello ');
  client.send('there');
  client.socket.end();
  expect(await client.readAll()).toBe('you said hello there');
  await until(() => client.isClosed);
  const counters = { relays: 1, bytesUpstream: 11, bytesDownstream: 20 };
  expect((await web.stats()).listeners['out']).toMatchObject(counters);
  expect((await orders.stats()).listeners['in']).toMatchObject(counters);
});

test('a server that speaks first is heard', async () => {
  const app = await mesh.server((socket) => socket.write('220 ready\r\n'));
  const sidecar = await mesh.plain(app.port, { protocol: 'tcp' });
  const client = new RawClient(sidecar.inPort);
  expect(await client.read((text) => text.length > 0)).toBe('220 ready\r\n');
  client.close();
});

test('a client that does not read holds the server back, and loses nothing', async () => {
  const size = 16 * 1024 * 1024;
  const app = await mesh.server((socket) => {
    socket.write(Buffer.alloc(size, 0x61));
    socket.end();
  });
  const sidecar = await mesh.plain(app.port, { protocol: 'tcp' });
  const client = new RawClient(sidecar.inPort);
  client.socket.pause();
  await until(() => app.sockets.length === 1);
  expect(await settled(() => app.sockets[0]?.writableLength ?? 0)).toBeGreaterThan(0);
  client.socket.resume();
  await until(() => client.isEnded);
  expect(client.text.length).toBe(size);
  client.close();
});

test('a break on one side is a break on the other, and not an end', async () => {
  const app = await mesh.server((socket) => {
    socket.once('data', () => socket.resetAndDestroy());
  });
  const sidecar = await mesh.plain(app.port, { protocol: 'tcp' });
  const client = new RawClient(sidecar.inPort);
  client.send('x');
  await until(() => client.isClosed || client.isEnded);
  expect(client.isEnded).toBe(false);
  expect(client.text).toBe('');

  const leaving = new RawClient(sidecar.inPort);
  let isReset = false;
  await until(() => app.sockets.length === 2);
  app.sockets[1]?.on('error', () => {
    isReset = true;
  });
  leaving.socket.resetAndDestroy();
  await until(() => isReset);
});

test('without a server the client is closed and the failure counted', async () => {
  const gone = await mesh.server(() => {});
  gone.close();
  const sidecar = await mesh.plain(gone.port, { protocol: 'tcp' });
  const client = new RawClient(sidecar.inPort);
  await until(() => client.isClosed || client.isEnded);
  expect((await sidecar.stats()).listeners['in']).toMatchObject({ relaysFailed: 1, relays: 0 });
  client.close();
});
