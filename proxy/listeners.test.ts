/** What a listener does with a connection before anybody speaks over it: limits, modes, filter chains, PROXY headers. */

import { existsSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  isReady,
  ProxyMesh,
  RawClient,
  type TestServer,
  type TestSidecar,
  until,
} from '../test/fakes/proxy-mesh.ts';
import type { TestLeaf } from '../test/fakes/test-pki.ts';

let mesh: ProxyMesh;
let web: TestLeaf;
/** Servers that say their name first, then what they were told. */
let red: TestServer;
let blue: TestServer;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  web = await mesh.pki.issueLeaf({ id: '/web' });
  red = await mesh.server((socket) => named(socket, 'red'));
  blue = await mesh.server((socket) => named(socket, 'blue'));
});
afterAll(() => mesh.close());

function named(socket: Socket, name: string): void {
  socket.write(`${name}:`);
  socket.pipe(socket);
}

const allow = ['spiffe://mesh.test/web'];

/** One listener `in` towards red and blue. */
async function sidecar(
  listener: Record<string, unknown>,
  more: Record<string, unknown> = {},
  blueCluster: Record<string, unknown> = {},
): Promise<TestSidecar> {
  const made = await mesh.sidecar(await mesh.readySds('/orders'), {
    listeners: [{ name: 'in', address: '127.0.0.1:0', ...listener }],
    clusters: [
      { name: 'red', endpoints: [`127.0.0.1:${red.port}`] },
      { name: 'blue', endpoints: [`127.0.0.1:${blue.port}`], ...blueCluster },
    ],
    timeouts: {
      drain: '50ms',
      firstBytes: '300ms',
      handshake: '300ms',
      ...(more['timeouts'] as object),
    },
    ...(more['connectionsMax'] === undefined ? {} : { connectionsMax: more['connectionsMax'] }),
  });
  await until(() => isReady(made));
  return made;
}

/** What a TLS client reads until its server has said `isEnough`, or until it is closed. */
async function overTls(
  port: number,
  options: ConnectionOptions = {},
  isEnough = (text: string): boolean => text.endsWith(':'),
): Promise<string> {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    cert: web.chainPem,
    key: web.keyPem,
    rejectUnauthorized: false,
    ...options,
  });
  return readUntil(socket, isEnough);
}

async function readUntil(socket: Socket, isEnough: (text: string) => boolean): Promise<string> {
  let text = '';
  let isClosed = false;
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  await until(() => isClosed || isEnough(text));
  socket.destroy();
  return text;
}

function overTcp(port: number, send = '', more = ''): Promise<string> {
  const socket = connectPlain({ port, host: '127.0.0.1' });
  if (send !== '') socket.write(send, 'latin1');
  return readUntil(socket, (text) => text.endsWith(`:${more}`));
}

async function counters(made: TestSidecar): Promise<Record<string, number>> {
  return (await made.stats()).listeners['in'] ?? {};
}

describe('mode', () => {
  const tcp = { protocol: 'tcp', cluster: 'red' };

  test('permissive takes TLS and plaintext on one port, a server that waits for the client behind it', async () => {
    const made = await sidecar({ ...tcp, mode: 'permissive', tls: { allow } });
    const port = made.port('in');
    expect(await overTls(port)).toBe('red:');
    expect(await overTcp(port, 'hello', 'hello')).toBe('red:hello');
    expect(await counters(made)).toMatchObject({ tlsHandshakes: 1, relays: 2 });
  });

  test('permissive takes a hello that comes byte by byte', async () => {
    const made = await sidecar({ ...tcp, mode: 'permissive', tls: { allow } });
    const relay = await mesh.server((socket) => {
      const onward = connectPlain({ port: made.port('in'), host: '127.0.0.1', noDelay: true });
      onward.pipe(socket);
      socket.on('data', (bytes: Buffer) => {
        for (const byte of bytes) onward.write(Buffer.from([byte]));
      });
      socket.on('end', () => onward.end());
      onward.on('error', () => socket.destroy());
    });
    expect(await overTls(relay.port)).toBe('red:');
  });

  test('permissive does not let in a peer by TLS that strict would not', async () => {
    const made = await sidecar({
      ...tcp,
      mode: 'permissive',
      tls: { allow: ['spiffe://mesh.test/x'] },
    });
    expect(await overTls(made.port('in'))).toBe('');
    expect(await counters(made)).toMatchObject({ tlsPeersRefused: 1, relays: 0 });
  });

  test('strict is the default, and takes no plaintext', async () => {
    const made = await sidecar({ ...tcp, tls: { allow } });
    expect(await overTcp(made.port('in'), 'GET / HTTP/1.1\r\n\r\n')).toBe('');
    expect(await overTls(made.port('in'))).toBe('red:');
    expect(await counters(made)).toMatchObject({ tlsHandshakesFailed: 1, relays: 1 });
  });

  test('off takes plaintext, and bytes of TLS are bytes', async () => {
    const made = await sidecar({ ...tcp, mode: 'off' });
    expect(await overTcp(made.port('in'), '\x16\x03\x01\0\x05', '\x16\x03\x01\0\x05')).toBe(
      'red:\x16\x03\x01\0\x05',
    );
  });

  test('a hello that is bad or does not come is closed, counted, and closes nobody else', async () => {
    const made = await sidecar({ ...tcp, mode: 'permissive', tls: { allow } });
    const port = made.port('in');
    expect(await overTcp(port, '\x16\x03\x01\0\0')).toBe('');
    const slow = new RawClient(port);
    slow.send('\x16');
    expect(await overTls(port)).toBe('red:');
    expect(await slow.readAll()).toBe('');
    expect(await counters(made)).toMatchObject({ connectionsUnreadable: 2, relays: 1 });
    await until(() => slow.isEnded || slow.isClosed);
  });

  test('a handshake that stops is ended in time', async () => {
    const made = await sidecar({ ...tcp, tls: { allow } });
    const slow = new RawClient(made.port('in'));
    slow.send('\x16\x03\x01');
    expect(await slow.readAll()).toBe('');
    expect(await counters(made)).toMatchObject({ tlsHandshakesFailed: 1 });
    slow.close();
  });
});

describe('filter chains', () => {
  const to = (cluster: string): Record<string, unknown> => ({ protocol: 'tcp', cluster });

  test('are chosen by server name, the first that fits', async () => {
    const made = await sidecar({
      filterChains: [
        { name: 'a', match: { serverNames: ['red.test'] }, tls: { allow }, ...to('red') },
        { name: 'b', match: { serverNames: ['*.blue.test'] }, tls: { allow }, ...to('blue') },
      ],
    });
    const port = made.port('in');
    expect(await overTls(port, { servername: 'red.test' })).toBe('red:');
    expect(await overTls(port, { servername: 'a.b.blue.test' })).toBe('blue:');
    // The name itself is not below itself, and no name is none of them.
    expect(await overTls(port, { servername: 'blue.test' })).toBe('');
    expect(await overTls(port)).toBe('');
    expect(await overTcp(port, 'x')).toBe('');
    expect(await counters(made)).toMatchObject({ connectionsUnmatched: 3, relays: 2 });
  });

  test('are chosen by what ALPN offers', async () => {
    const made = await sidecar({
      filterChains: [
        { name: 'a', match: { alpn: ['red/1'] }, tls: { allow }, ...to('red') },
        { name: 'b', tls: { allow }, ...to('blue') },
      ],
    });
    expect(await overTls(made.port('in'), { ALPNProtocols: ['x', 'red/1'] })).toBe('red:');
    expect(await overTls(made.port('in'), { ALPNProtocols: ['x'] })).toBe('blue:');
    expect(await overTls(made.port('in'))).toBe('blue:');
  });

  test('are chosen by TLS or plaintext, each with its own rules', async () => {
    const made = await sidecar({
      filterChains: [
        { name: 'secure', tls: { allow }, ...to('red') },
        { name: 'open', plaintext: true, ...to('blue') },
      ],
    });
    expect(await overTls(made.port('in'))).toBe('red:');
    expect(await overTcp(made.port('in'), 'x', 'x')).toBe('blue:x');
  });

  test('are chosen by source and destination', async () => {
    const made = await sidecar({
      address: '0.0.0.0:0',
      filterChains: [
        { name: 'a', match: { sources: ['127.0.0.2'] }, plaintext: true, ...to('red') },
        { name: 'b', match: { destinations: ['127.0.0.0/30'] }, plaintext: true, ...to('blue') },
      ],
    });
    const port = made.port('in');
    const from = (localAddress: string, host: string): Promise<string> =>
      readUntil(connectPlain({ port, host, localAddress }), (text) => text.endsWith(':'));
    expect(await from('127.0.0.2', '127.0.0.9')).toBe('red:');
    expect(await from('127.0.0.1', '127.0.0.3')).toBe('blue:');
    expect(await from('127.0.0.1', '127.0.0.9')).toBe('');
    expect(await counters(made)).toMatchObject({ connectionsUnmatched: 1 });
  });
});

describe('limits', () => {
  const open = { protocol: 'tcp', cluster: 'red', plaintext: true };

  test('of a source: one that has its fill harms no other', async () => {
    const made = await sidecar({ ...open, address: '0.0.0.0:0', connectionsPerSourceMax: 1 });
    const port = made.port('in');
    const first = new RawClient(port);
    expect(await first.read((text) => text === 'red:')).toBe('red:');
    expect(await overTcp(port)).toBe('');
    const other = connectPlain({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    expect(await readUntil(other, (text) => text === 'red:')).toBe('red:');
    first.close();
    await until(() => first.isClosed);
    // The place is free again once the proxy has seen the end.
    for (let text = ''; text !== 'red:'; ) text = await overTcp(port);
    expect((await counters(made))['connectionsOverSourceLimit']).toBeGreaterThanOrEqual(1);
  });

  test('of all listeners together', async () => {
    const made = await sidecar(open, { connectionsMax: 1 });
    const first = new RawClient(made.port('in'));
    await first.read((text) => text === 'red:');
    expect(await overTcp(made.port('in'))).toBe('');
    expect(await counters(made)).toMatchObject({ connectionsOverLimit: 1 });
    first.close();
  });
});

describe('PROXY headers', () => {
  const open = { protocol: 'tcp', plaintext: true };
  const header1 = 'PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\r\n';

  test('are taken from a configured source, decide the chain, and are told onward', async () => {
    const made = await sidecar(
      {
        proxyProtocol: { from: ['127.0.0.1'] },
        filterChains: [
          { name: 'a', match: { sources: ['127.0.0.1'] }, ...open, cluster: 'red' },
          {
            name: 'b',
            match: { sources: ['192.0.2.7'], destinationPorts: [443] },
            ...open,
            cluster: 'blue',
          },
        ],
      },
      {},
      { proxyProtocol: 'v1' },
    );
    const port = made.port('in');
    expect(await overTcp(port, `${header1}hello`, `${header1}hello`)).toBe(`blue:${header1}hello`);
    // A balancer that speaks for itself (LOCAL, UNKNOWN) is who it is.
    expect(await overTcp(port, 'PROXY UNKNOWN\r\nhello', 'hello')).toBe('red:hello');
  });

  test('stand before TLS on both sides', async () => {
    const orders = await sidecar({
      protocol: 'tcp',
      cluster: 'red',
      tls: { allow },
      proxyProtocol: { from: ['127.0.0.1'] },
    });
    const outbound = await mesh.sidecar(await mesh.readySds('/web'), {
      listeners: [
        {
          name: 'out',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'tcp',
          cluster: 'orders',
        },
      ],
      clusters: [
        {
          name: 'orders',
          endpoints: [`127.0.0.1:${orders.port('in')}`],
          tls: { expect: ['spiffe://mesh.test/orders'] },
          proxyProtocol: 'v2',
        },
      ],
      timeouts: { drain: '50ms' },
    });
    await until(() => isReady(outbound));
    expect(await overTcp(outbound.port('out'), 'hello', 'hello')).toBe('red:hello');
    expect(await counters(orders)).toMatchObject({ tlsHandshakes: 1 });
  });

  test('to a server that is gone are a failure like any other', async () => {
    const gone = await mesh.server(() => {});
    gone.close();
    const outbound = await mesh.sidecar(await mesh.readySds('/web'), {
      listeners: [
        { name: 'in', address: '127.0.0.1:0', plaintext: true, protocol: 'tcp', cluster: 'orders' },
      ],
      clusters: [
        {
          name: 'orders',
          endpoints: [`127.0.0.1:${gone.port}`],
          tls: { expect: ['spiffe://mesh.test/orders'] },
          proxyProtocol: 'v2',
        },
      ],
    });
    await until(() => isReady(outbound));
    expect(await overTcp(outbound.port('in'), 'hello')).toBe('');
    expect(await counters(outbound)).toMatchObject({ relaysFailed: 1 });
  });

  test('are demanded of a configured source', async () => {
    const made = await sidecar({ ...open, cluster: 'red', proxyProtocol: { from: ['127.0.0.1'] } });
    expect(await overTcp(made.port('in'), 'hello')).toBe('');
    expect(await counters(made)).toMatchObject({ connectionsUnreadable: 1, relays: 0 });
  });

  test('are bytes like others where the source is not configured', async () => {
    const made = await sidecar({
      ...open,
      cluster: 'red',
      proxyProtocol: { from: ['10.0.0.0/8'] },
    });
    expect(await overTcp(made.port('in'), header1, header1)).toBe(`red:${header1}`);
  });
});

test('a Unix socket is listened on, and gone afterwards', async () => {
  const path = mesh.socketPath();
  const made = await sidecar({
    address: `unix:${path}`,
    mode: 'off',
    protocol: 'tcp',
    cluster: 'red',
  });
  expect(await readUntil(connectPlain(path), (text) => text === 'red:')).toBe('red:');
  await made.proxy.close();
  expect(existsSync(path)).toBe(false);
});

test('two proxies share a port that both say they share', async () => {
  const shared = { mode: 'off', protocol: 'tcp', cluster: 'red', reusePort: true };
  const first = await sidecar(shared);
  const second = await sidecar({ ...shared, address: `127.0.0.1:${first.port('in')}` });
  expect(second.port('in')).toBe(first.port('in'));
  const taken = { ...shared, reusePort: false, address: `127.0.0.1:${first.port('in')}` };
  await expect(sidecar(taken)).rejects.toThrow('in use');
  // Whichever of the two the kernel chooses, it serves.
  for (let count = 0; count < 20; count += 1) expect(await overTcp(first.port('in'))).toBe('red:');
});
