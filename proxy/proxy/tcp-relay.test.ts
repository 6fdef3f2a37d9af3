import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  get,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  settled,
  type TestSidecar,
  until,
} from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

async function lines(sidecar: TestSidecar, count: number): Promise<unknown[]> {
  await until(() => sidecar.log.length >= count);
  return sidecar.log.map((line) => JSON.parse(line) as unknown);
}

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
  // Both sidecars say so, without a fault.
  const ended = { protocol: 'tcp', bytesUpstream: 11, bytesDownstream: 20 };
  const [outward] = await lines(web, 1);
  expect(outward).toMatchObject({ ...ended, listener: 'out', cluster: 'orders' });
  const [inward] = await lines(orders, 1);
  expect(inward).toMatchObject({
    ...ended,
    listener: 'in',
    cluster: 'app',
    peer: 'spiffe://mesh.test/web',
    upstream: `127.0.0.1:${app.port}`,
  });
  for (const line of [outward, inward]) expect(line).not.toHaveProperty('fault');
  for (const sidecar of [web, orders]) {
    const { listeners, clusters } = await sidecar.stats();
    for (const listener of Object.values(listeners)) {
      expect(listener).toMatchObject({ relaysCutOff: 0, relaysFailed: 0 });
    }
    for (const cluster of Object.values(clusters)) {
      expect(cluster).toMatchObject({ connectionsOpened: 1, connectionsActive: 0 });
    }
  }
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
  leaving.send('left');
  app.sockets[1]?.removeAllListeners('data');
  await new Promise<void>((resolve) => app.sockets[1]?.once('data', () => resolve()));
  leaving.socket.resetAndDestroy();
  await until(() => isReset);
  // Who broke off is what the log says, and the counter that somebody did.
  const [byServer, byClient] = await lines(sidecar, 2);
  expect(byServer).toMatchObject({ bytesUpstream: 1, fault: expect.stringMatching(/^server: /) });
  expect(byClient).toMatchObject({ bytesUpstream: 4, fault: expect.stringMatching(/^client: /) });
  expect((await sidecar.stats()).listeners['in']).toMatchObject({ relays: 2, relaysCutOff: 2 });
});

test('without a server the client is closed and the failure counted', async () => {
  const gone = await mesh.server(() => {});
  gone.close();
  const sidecar = await mesh.plain(gone.port, { protocol: 'tcp' });
  const client = new RawClient(sidecar.inPort);
  await until(() => client.isClosed || client.isEnded);
  expect((await sidecar.stats()).listeners['in']).toMatchObject({ relaysFailed: 1, relays: 0 });
  expect(await lines(sidecar, 1)).toMatchObject([
    { cluster: 'app', bytesUpstream: 0, fault: expect.stringMatching(/^connect: /) },
  ]);
  client.close();
});

test('a cluster has no more relays than it allows, and its neighbour is none the wiser', async () => {
  const app = await mesh.server((socket) => void socket.write('hello'));
  const web = await mesh.server(scripted(() => okResponse('web')));
  const listener = { address: '127.0.0.1:0', plaintext: true };
  const sidecar = await mesh.sidecar(undefined, {
    listeners: [
      { ...listener, name: 'tcp', protocol: 'tcp', cluster: 'app' },
      { ...listener, name: 'web', protocol: 'http1', routes: [{ prefix: '/', cluster: 'web' }] },
    ],
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${app.port}`], connectionsMax: 1 },
      { name: 'web', endpoints: [`127.0.0.1:${web.port}`], connectionsMax: 1 },
    ],
    timeouts: { drain: '50ms' },
  });
  const cluster = async (): Promise<unknown> => (await sidecar.stats()).clusters['app'];
  const first = new RawClient(sidecar.port('tcp'));
  expect(await first.read((text) => text !== '')).toBe('hello');
  const second = new RawClient(sidecar.port('tcp'));
  expect(await second.readAll()).toBe('');
  expect(await cluster()).toMatchObject({ overflows: 1, connectionsActive: 1 });
  expect(await lines(sidecar, 1)).toMatchObject([{ fault: expect.stringMatching(/^overflow: /) }]);
  expect((await get(sidecar.port('web'), '/')).body).toBe('web');
  // The place is free again with the connection that had it.
  first.socket.resetAndDestroy();
  await until(() => app.sockets[0]?.destroyed === true);
  const third = new RawClient(sidecar.port('tcp'));
  expect(await third.read((text) => text !== '')).toBe('hello');
  expect(await cluster()).toMatchObject({
    overflows: 1,
    connectionsActive: 1,
    connectionsOpened: 2,
  });
  third.close();
});

test('a relay through which nothing goes is broken off, and one that is used is not', async () => {
  const app = await mesh.server((socket) => socket.on('data', (bytes) => socket.write(bytes)));
  const sidecar = await mesh.plain(app.port, {
    protocol: 'tcp',
    timeouts: { relayIdle: '500ms', relayHalfClosed: '500ms' },
  });
  const idle = new RawClient(sidecar.inPort);
  const used = new RawClient(sidecar.inPort);
  let isReset = false;
  idle.socket.on('error', () => {
    isReset = true;
  });
  for (const client of [idle, used]) client.send('x');
  await until(() => [idle, used].every((client) => client.text === 'x'));
  const beat = setInterval(() => used.send('.'), 20);
  await until(() => idle.isClosed);
  expect([isReset, idle.isEnded]).toEqual([true, false]);
  const { length } = used.text;
  await used.read((text) => text.length > length + 2);
  expect(used.isEnded || used.isClosed).toBe(false);
  clearInterval(beat);
  await until(() => used.isClosed);
  expect((await sidecar.stats()).listeners['in']).toMatchObject({
    relays: 2,
    relayTimeouts: 2,
    relaysCutOff: 2,
  });
  const fault = 'nothing went through the relay';
  expect(await lines(sidecar, 2)).toMatchObject([{ fault }, { fault }]);
  await until(() => app.sockets.every((socket) => socket.destroyed));
});

test('one whose client has ended waits for the answer, but not as long', async () => {
  const app = await mesh.server((socket) => {
    socket.on('data', (bytes) => {
      // The one that is asked to answers after the end of the question.
      if (bytes.toString() === 'ask') socket.on('end', () => socket.end('answer'));
    });
  });
  const timeouts = { relayIdle: '60s', relayHalfClosed: '500ms' };
  const sidecar = await mesh.plain(app.port, { protocol: 'tcp', timeouts });
  const answered = new RawClient(sidecar.inPort);
  const left = new RawClient(sidecar.inPort);
  const open = new RawClient(sidecar.inPort);
  answered.socket.end('ask');
  left.socket.end('tell');
  open.send('tell');
  expect(await answered.readAll()).toBe('answer');
  await until(() => left.isClosed);
  expect(left.isEnded).toBe(false);
  expect(open.isClosed || open.isEnded).toBe(false);
  expect((await sidecar.stats()).listeners['in']).toMatchObject({ relayTimeouts: 1 });
  open.close();
});

test('the kernel asks a silent peer soon whether it is there, on both sides', async () => {
  const app = await mesh.server((socket) => void socket.write('hello'));
  const sidecar = await mesh.plain(app.port, { protocol: 'tcp' });
  const client = new RawClient(sidecar.inPort);
  await client.read((text) => text !== '');
  const ours = [
    [sidecar.inPort, client.socket.localPort ?? 0],
    [app.sockets[0]?.remotePort ?? 0, app.port],
  ] as const;
  for (const [local, remote] of ours) {
    let timer = await timerOf(local, remote);
    // proc(5): 1 is a retransmission that is under way, 2 is keep-alive.
    while (timer?.kind === 1) timer = await timerOf(local, remote);
    expect(timer?.kind).toBe(2);
    expect(timer?.seconds).toBeLessThanOrEqual(60);
  }
  client.close();
});

/** What the kernel waits for on a connection of this machine, by /proc/net/tcp. */
async function timerOf(
  local: number,
  remote: number,
): Promise<{ readonly kind: number; readonly seconds: number } | undefined> {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  const row = (await readFile('/proc/net/tcp', 'latin1'))
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, from, to]) => from?.endsWith(`:${hex(local)}`) && to?.endsWith(`:${hex(remote)}`));
  const [kind, jiffies] = row?.[5]?.split(':') ?? [];
  if (kind === undefined || jiffies === undefined) return undefined;
  return { kind: Number.parseInt(kind, 16), seconds: Number.parseInt(jiffies, 16) / 100 };
}
