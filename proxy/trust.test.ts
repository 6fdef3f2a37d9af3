/** What TLS stands on, and connections that end when it is withdrawn: a trust domain, or our own certificate. */

import { connect as connectPlain, type Socket } from 'node:net';
import {
  connect as connectTls,
  type ConnectionOptions,
  createSecureContext,
  type TLSSocket,
} from 'node:tls';
import { queryObjects } from 'node:v8';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificateSecret, type FakeSds, validationSecret } from '../test/fakes/fake-sds.ts';
import {
  isReady,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  type TestSidecar,
  until,
} from '../test/fakes/proxy-mesh.ts';
import { makeTestPki, type TestPki } from '../test/fakes/test-pki.ts';

let mesh: ProxyMesh;
let partner: TestPki;
let echoPort: number;
let webPort: number;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  partner = await makeTestPki({ nowMs: Date.now(), trustDomain: 'partner.test' });
  echoPort = (await mesh.server((socket) => void socket.pipe(socket))).port;
  webPort = (await mesh.server(scripted(() => okResponse('hello')))).port;
});
afterAll(() => mesh.close());

function trustBoth(of: TestPki = partner): ReturnType<typeof validationSecret> {
  return validationSecret({ 'mesh.test': mesh.pki.anchorsPem, 'partner.test': of.anchorsPem });
}

interface Inbound extends TestSidecar {
  readonly sds: FakeSds;
}

/** A sidecar that lets both trust domains in: `in` is a relay that gives back what it is told, `web` is HTTP. */
async function inbound(tls: Record<string, unknown> = {}): Promise<Inbound> {
  const made = await mesh.readySds('/orders');
  made.sds.set(trustBoth());
  const allow = ['spiffe://mesh.test/*', 'spiffe://partner.test/*'];
  const sidecar = await mesh.sidecar(made, {
    tls,
    listeners: [
      { name: 'in', address: '127.0.0.1:0', tls: { allow }, protocol: 'tcp', cluster: 'echo' },
      {
        name: 'web',
        address: '127.0.0.1:0',
        tls: { allow },
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'web' }],
      },
    ],
    clusters: [
      { name: 'echo', endpoints: [`127.0.0.1:${echoPort}`] },
      { name: 'web', endpoints: [`127.0.0.1:${webPort}`] },
    ],
    timeouts: { drain: '100ms' },
  });
  await until(() => isReady(sidecar));
  await made.sds.waitFor((answer) => answer.kind === 'ack' && answer.name === 'ALL');
  return { ...sidecar, sds: made.sds };
}

interface Client {
  readonly socket: TLSSocket;
  text: string;
  isClosed: boolean;
  error: string;
}

async function client(
  sidecar: TestSidecar,
  of: TestPki,
  listener = 'in',
  options: ConnectionOptions = {},
): Promise<Client> {
  const leaf = await of.issueLeaf({ id: '/client' });
  const socket = connectTls({
    port: sidecar.port(listener),
    host: '127.0.0.1',
    cert: leaf.chainPem,
    key: leaf.keyPem,
    rejectUnauthorized: false,
    ...options,
  });
  const made: Client = { socket, text: '', isClosed: false, error: '' };
  socket.on('data', (bytes: Buffer) => {
    made.text += bytes.toString('latin1');
  });
  socket.on('error', (error) => {
    made.error = error.message;
  });
  socket.on('close', () => {
    made.isClosed = true;
  });
  return made;
}

/** Whether it is served: what it says comes back. */
async function isServed(made: Client, word = 'ping'): Promise<boolean> {
  const length = made.text.length;
  made.socket.write(word);
  await until(() => made.isClosed || made.text.length === length + word.length);
  return !made.isClosed;
}

async function counters(made: TestSidecar, listener = 'in'): Promise<Record<string, number>> {
  return (await made.stats()).listeners[listener] ?? {};
}

describe('a trust domain that is withdrawn', () => {
  test('ends the live connections of its peers at once, and of no other', async () => {
    const sidecar = await inbound();
    const guest = await client(sidecar, partner);
    const own = await client(sidecar, mesh.pki);
    expect(await isServed(guest)).toBe(true);
    expect(await isServed(own)).toBe(true);
    // Its root is replaced by one of the same name, as after a compromise.
    const renewed = await makeTestPki({ nowMs: Date.now(), trustDomain: 'partner.test' });
    sidecar.sds.set(trustBoth(renewed));
    await until(() => guest.isClosed);
    expect(await isServed(own)).toBe(true);
    expect(await counters(sidecar)).toMatchObject({ tlsPeersUntrusted: 1, tlsPeersRevoked: 0 });
    expect(await isServed(await client(sidecar, renewed))).toBe(true);
    own.socket.destroy();
  });

  test('ends live connections to its servers, too', async () => {
    const server = await inbound();
    const renewed = await makeTestPki({ nowMs: Date.now(), trustDomain: 'partner.test' });
    const made = await mesh.sds();
    made.sds.set(certificateSecret(await partner.issueLeaf({ id: '/web' })));
    made.sds.set(trustBoth());
    const sidecar = await mesh.sidecar(made, {
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
          endpoints: [`127.0.0.1:${server.port('in')}`],
          tls: { expect: ['spiffe://mesh.test/orders'] },
        },
      ],
    });
    await until(() => isReady(sidecar));
    const workload = new RawClient(sidecar.port('out'));
    workload.send('ping');
    expect(await workload.read((text) => text === 'ping')).toBe('ping');
    const other = await makeTestPki({ nowMs: Date.now() });
    made.sds.set(
      validationSecret({ 'mesh.test': other.anchorsPem, 'partner.test': renewed.anchorsPem }),
    );
    await until(() => workload.isClosed || workload.isEnded);
    expect((await sidecar.stats()).clusters['orders']).toMatchObject({ peersUntrusted: 1 });
    workload.close();
  });
});

describe('a certificate of ours that was replaced', () => {
  async function replace(sidecar: Inbound): Promise<void> {
    const before = sidecar.proxy.material.current()?.generation ?? 0;
    sidecar.sds.set(certificateSecret(await mesh.pki.issueLeaf({ id: '/orders' })));
    await until(() => (sidecar.proxy.material.current()?.generation ?? 0) > before);
  }

  test('ends what stands on it when its time is over, and nothing that began later', async () => {
    const sidecar = await inbound({ supersededAgeMax: '200ms' });
    const old = await client(sidecar, mesh.pki);
    expect(await isServed(old)).toBe(true);
    await replace(sidecar);
    const young = await client(sidecar, mesh.pki);
    expect(await isServed(young)).toBe(true);
    await until(() => old.isClosed);
    expect(await isServed(young)).toBe(true);
    expect(await counters(sidecar)).toMatchObject({ tlsSuperseded: 1 });
    young.socket.destroy();
  });

  test('lets a kept connection of HTTP end between two requests', async () => {
    const sidecar = await inbound({ supersededAgeMax: '200ms' });
    const kept = await client(sidecar, mesh.pki, 'web');
    kept.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => kept.text.endsWith('hello'));
    await replace(sidecar);
    await until(() => kept.isClosed);
    // It was idle, so it ended in order: nothing was cut off, and nothing had to be.
    expect(kept.error).toBe('');
    expect(await counters(sidecar, 'web')).toMatchObject({ tlsSuperseded: 0 });
  });

  test('ends nothing where the config sets no age', async () => {
    const sidecar = await inbound();
    const old = await client(sidecar, mesh.pki);
    expect(await isServed(old)).toBe(true);
    await replace(sidecar);
    expect(await isServed(await client(sidecar, mesh.pki))).toBe(true);
    expect(await isServed(old)).toBe(true);
    old.socket.destroy();
  });
});

describe('versions and ciphers', () => {
  const old = { maxVersion: 'TLSv1.2' } as const;

  test('TLS 1.3 alone is spoken by default', async () => {
    const sidecar = await inbound();
    const refused = await client(sidecar, mesh.pki, 'in', old);
    await until(() => refused.isClosed);
    expect(refused.error).toContain('protocol version');
    const taken = await client(sidecar, mesh.pki);
    expect(await isServed(taken)).toBe(true);
    expect(taken.socket.getProtocol()).toBe('TLSv1.3');
    taken.socket.destroy();
  });

  test('1.2 by config, with ECDHE and AEAD alone, without renegotiation and without resumption', async () => {
    const sidecar = await inbound({ minVersion: '1.2' });
    const weak = await client(sidecar, mesh.pki, 'in', {
      ...old,
      ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA',
    });
    await until(() => weak.isClosed);
    expect(weak.error).toContain('handshake failure');
    const taken = await client(sidecar, mesh.pki, 'in', old);
    expect(await isServed(taken)).toBe(true);
    expect(taken.socket.getProtocol()).toBe('TLSv1.2');
    expect(taken.socket.getCipher().standardName).toMatch(/^TLS_ECDHE_ECDSA_.*(GCM|POLY1305)/);
    const session = taken.socket.getSession();
    const again = await client(sidecar, mesh.pki, 'in', { ...old, session });
    expect(await isServed(again)).toBe(true);
    expect(again.socket.isSessionReused()).toBe(false);
    again.socket.destroy();
    let isRenegotiated = false;
    taken.socket.renegotiate({}, (error) => {
      isRenegotiated = error === null;
    });
    // The new handshake begins with the next byte.
    taken.socket.write('x');
    await until(() => taken.isClosed);
    expect(isRenegotiated).toBe(false);
    expect(taken.error).toContain('no renegotiation');
    expect(await counters(sidecar)).toMatchObject({ tlsHandshakes: 2 });
  });

  test.for([
    ['the hybrid first', 'X25519MLKEM768:X25519', 'X25519MLKEM768'],
    ['the hybrid second', 'X25519:X25519MLKEM768', 'X25519MLKEM768'],
    ['the hybrid last', 'P-256:X25519:X25519MLKEM768', 'X25519MLKEM768'],
    ['no hybrid', 'X25519', 'X25519'],
  ] as const)('a client that offers %s speaks %s: %s', async ([, ecdhCurve, group]) => {
    const sidecar = await inbound();
    const made = await client(sidecar, mesh.pki, 'in', { ecdhCurve });
    expect(await isServed(made)).toBe(true);
    expect(made.socket.getEphemeralKeyInfo()).toMatchObject({ name: group });
    made.socket.destroy();
  });

  test('one context a version of the secret is all that listeners, clusters and handshakes need', async () => {
    const made = await mesh.readySds('/orders');
    const listener = { address: '127.0.0.1:0', protocol: 'tcp', cluster: 'self' };
    const tls = { allow: ['spiffe://mesh.test/*'] };
    const target = await inbound();
    const sidecar = await mesh.sidecar(made, {
      listeners: [
        { ...listener, name: 'in', tls },
        { ...listener, name: 'web', tls },
      ],
      clusters: [
        {
          name: 'self',
          endpoints: [`127.0.0.1:${target.port('in')}`],
          tls: { expect: ['spiffe://mesh.test/orders'] },
        },
      ],
    });
    await until(() => isReady(sidecar));
    const leaf = await mesh.pki.issueLeaf({ id: '/client' });
    const secureContext = createSecureContext({ cert: leaf.chainPem, key: leaf.keyPem });
    const context = (): object | undefined => sidecar.proxy.material.current()?.identity.context;
    const shared = context();
    // Every context there is in this process, after what is not reachable any more was collected.
    const alive = (): number => queryObjects(secureContext.constructor, { format: 'count' });
    const handshakes = async (): Promise<void> => {
      for (let count = 0; count < 4; count += 1) {
        const at = count % 2 === 0 ? 'in' : 'web';
        const one = await client(sidecar, mesh.pki, at, { secureContext });
        expect(await isServed(one)).toBe(true);
        open.push(one);
      }
    };
    const open: Client[] = [];
    const before = alive();
    await handshakes();
    expect(alive()).toBe(before);
    expect(context()).toBe(shared);
    // The twin: a new version is a new context, while the old one lives in its connections.
    made.sds.set(certificateSecret(await mesh.pki.issueLeaf({ id: '/orders' })));
    await until(() => context() !== shared);
    await handshakes();
    expect(alive()).toBe(before + 1);
    for (const one of open) one.socket.destroy();
  });

  test('the hybrid group is offered first upstream, and taken downstream', async () => {
    const sidecar = await inbound();
    const hybrid = await client(sidecar, mesh.pki, 'in', {
      ecdhCurve: 'X25519MLKEM768',
    });
    expect(await isServed(hybrid)).toBe(true);
    hybrid.socket.destroy();

    let hello = Buffer.alloc(0);
    const listening = await mesh.server((socket: Socket) => {
      socket.on('data', (bytes: Buffer) => {
        hello = Buffer.concat([hello, bytes]);
      });
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
          endpoints: [`127.0.0.1:${listening.port}`],
          tls: { expect: ['spiffe://mesh.test/orders'] },
        },
      ],
    });
    await until(() => isReady(outbound));
    const workload = connectPlain(outbound.port('out'), '127.0.0.1');
    await until(() => hello.length > 1300);
    // RFC 8446 §4.2.7: `supported_groups` (10) with three groups, X25519MLKEM768 (0x11ec) the first of them.
    expect(hello.includes(Buffer.from('000a0008000611ec001d0017', 'hex'))).toBe(true);
    workload.destroy();
  });
});
