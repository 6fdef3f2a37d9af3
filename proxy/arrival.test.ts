/** Connections on which nothing has come yet: they count, and may be those of clients that wait for a greeting. */

import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../test/fakes/eventually.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import {
  isReady,
  ProxyMesh,
  RawClient,
  type TestSidecar,
  until,
} from '../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
let appPort = 0;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  const app = await mesh.server((socket) => {
    socket.write('220 ');
    socket.pipe(socket);
  });
  appPort = app.port;
});
afterAll(() => mesh.close());

/** A listener that takes TLS and plaintext, towards a server that begins. */
async function permissive(
  listener: Record<string, unknown>,
  clock?: ManualClock,
): Promise<TestSidecar> {
  const config = {
    listeners: [
      {
        name: 'in',
        address: '0.0.0.0:0',
        mode: 'permissive',
        tls: { allow: ['spiffe://mesh.test/web'] },
        protocol: 'tcp',
        cluster: 'app',
        proxyProtocol: { from: ['127.0.0.1'] },
        ...listener,
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${appPort}`] }],
    timeouts: { firstBytes: '60s' },
  };
  const made = await mesh.sidecar(await mesh.readySds('/orders'), config, clock);
  await until(() => isReady(made));
  return made;
}

async function counters(made: TestSidecar): Promise<Record<string, number>> {
  return (await made.stats()).listeners['in'] ?? {};
}

function headerTo(port: number, source = '192.0.2.7'): string {
  return `PROXY TCP4 ${source} 192.0.2.8 56324 ${port}\r\n`;
}

/** Speaks from another address of this machine, so that no PROXY header is expected. */
function from(localAddress: string, port: number): RawClient {
  return new RawClient(port, localAddress);
}

describe('the bound per source', () => {
  test('holds before anything has come, and leaves the places to others', async () => {
    const made = await permissive({ connectionsPerSourceMax: 1 });
    const port = made.port('in');
    const silent = from('127.0.0.2', port);
    await eventually(async () => expect((await counters(made))['connectionsActive']).toBe(1));
    const second = from('127.0.0.2', port);
    expect(await second.readAll()).toBe('');
    const other = from('127.0.0.3', port);
    other.send('hello');
    expect(await other.read((text) => text.endsWith('hello'))).toBe('220 hello');
    expect(await counters(made)).toMatchObject({ connectionsOverSourceLimit: 1, relays: 1 });
    // The place is free again once the first has gone.
    silent.close();
    await eventually(async () => expect((await counters(made))['connectionsActive']).toBe(1));
    const third = from('127.0.0.2', port);
    third.send('hello');
    expect(await third.read((text) => text.endsWith('hello'))).toBe('220 hello');
  });

  test('is that of whom a PROXY header names, and not of who sends it', async () => {
    const made = await permissive({ connectionsPerSourceMax: 1 });
    const port = made.port('in');
    const clients = ['192.0.2.1', '192.0.2.2', '192.0.2.2'].map((source) => {
      const client = new RawClient(port);
      client.send(`${headerTo(443, source)}hello`);
      return client;
    });
    const answers = await Promise.all(
      clients.map((client) => client.read((text) => text.endsWith('hello'))),
    );
    expect(answers.toSorted()).toEqual(['', '220 hello', '220 hello']);
    expect(await counters(made)).toMatchObject({ connectionsOverSourceLimit: 1, relays: 2 });
  });
});

describe('a client in plaintext that waits for the greeting', () => {
  test.for([
    ['a port that is known for it', {}, 3306],
    ['a port that the config names', { serverFirstPorts: [7000] }, 7000],
    ['such a port of protocol: auto', { ...auto(), serverFirstPorts: [7000] }, 7000],
  ] as const)('gets it soon on %s', async ([, listener, port]) => {
    const made = await permissive(listener);
    const client = new RawClient(made.port('in'));
    client.send(headerTo(port));
    // `firstBytes` is a minute.
    expect(await client.read((text) => text === '220 ')).toBe('220 ');
    client.close();
  });

  test('gets it on any port of a relay once `firstBytes` is over', async () => {
    const clock = new ManualClock(Date.now());
    const made = await permissive({}, clock);
    const client = new RawClient(made.port('in'));
    client.send(headerTo(8000));
    await eventually(async () => expect((await counters(made))['connectionsActive']).toBe(1));
    await clock.advance(30_000);
    expect(await counters(made)).toMatchObject({ relays: 0 });
    await clock.advance(31_000);
    expect(await client.read((text) => text === '220 ')).toBe('220 ');
    client.close();
  });

  test('is none where no server begins, or where something has come', async () => {
    const clock = new ManualClock(Date.now());
    const http = {
      protocol: 'http1',
      cluster: undefined,
      routes: [{ prefix: '/', cluster: 'app' }],
    };
    for (const [listener, sent] of [
      [http, ''],
      [{}, '\x16'],
    ] as const) {
      const made = await permissive(listener, clock);
      const client = new RawClient(made.port('in'));
      client.send(`${headerTo(3306)}${sent}`);
      await eventually(async () => expect((await counters(made))['connectionsActive']).toBe(1));
      await clock.advance(61_000);
      expect(await client.readAll()).toBe('');
      expect(await counters(made)).toMatchObject({ connectionsUnreadable: 1, relays: 0 });
      client.close();
    }
  });
});

test('TLS is taken where servers begin, as everywhere', async () => {
  const made = await permissive({});
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const raw = connectPlain({ port: made.port('in'), host: '127.0.0.1' });
  await new Promise<void>((resolve) => raw.write(headerTo(3306), () => resolve()));
  const socket = connectTls({
    socket: raw,
    cert: leaf.chainPem,
    key: leaf.keyPem,
    rejectUnauthorized: false,
  });
  let text = '';
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  await until(() => text === '220 ');
  expect(await counters(made)).toMatchObject({ tlsHandshakes: 1, relays: 1 });
  socket.destroy();
});

function auto(): Record<string, unknown> {
  return { protocol: 'auto', routes: [{ prefix: '/', cluster: 'app' }] };
}
