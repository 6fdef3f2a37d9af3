/** Mutual TLS on the wire: what is accepted, what is refused, and that nothing is said before. */

import { connect as connectPlain } from 'node:net';
import { connect, type ConnectionOptions, createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../core/index.ts';
import { certificateSecret, validationSecret } from '../test/fakes/fake-sds.ts';
import {
  get,
  isReady,
  okResponse,
  ProxyMesh,
  scripted,
  type TestServer,
  type TestSidecar,
  until,
} from '../test/fakes/proxy-mesh.ts';
import { makeTestPki, type TestLeaf } from '../test/fakes/test-pki.ts';

let mesh: ProxyMesh;
let app: TestServer;
let heads: string[];
let inbound: TestSidecar;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  heads = [];
  app = await mesh.server(
    scripted((head) => {
      heads.push(head);
      return okResponse('hello');
    }),
  );
  inbound = await startInbound(await mesh.readySds('/orders'));
  await until(() => isReady(inbound));
});
afterAll(() => mesh.close());

function startInbound(
  made: Parameters<ProxyMesh['sidecar']>[0],
  clock: Clock = systemClock,
  tls: Record<string, unknown> = { allow: ['spiffe://mesh.test/web'] },
): Promise<TestSidecar> {
  const config = {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        tls,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    timeouts: { drain: '50ms' },
  };
  return mesh.sidecar(made, config, clock);
}

function startOutbound(
  made: Parameters<ProxyMesh['sidecar']>[0],
  port: number,
  clock: Clock = systemClock,
  tls: Record<string, unknown> = { expect: ['spiffe://mesh.test/orders'] },
): Promise<TestSidecar> {
  const config = {
    listeners: [
      {
        name: 'out',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'orders' }],
      },
    ],
    clusters: [
      {
        name: 'orders',
        endpoints: [`127.0.0.1:${port}`],
        tls,
      },
    ],
    timeouts: { drain: '50ms' },
  };
  return mesh.sidecar(made, config, clock);
}

const request = 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

interface TlsTry {
  readonly text: string;
  readonly protocol: string | null;
  readonly isReused: boolean;
  /** What the server offered to resume with. */
  readonly session: Buffer | undefined;
}

/** Connects with TLS, sends a request as soon as the handshake allows, and reads to the end. */
function tryTls(port: number, options: ConnectionOptions): Promise<TlsTry> {
  return new Promise((resolve) => {
    const socket = connect({ port, rejectUnauthorized: false, ...options });
    let text = '';
    let protocol: string | null = null;
    let isReused = false;
    let session: Buffer | undefined;
    socket.on('secureConnect', () => {
      protocol = socket.getProtocol();
      isReused = socket.isSessionReused();
      socket.write(request);
    });
    socket.on('session', (offered: Buffer) => {
      session = offered;
    });
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve({ text, protocol, isReused, session }));
  });
}

function credentials(leaf: TestLeaf): ConnectionOptions {
  return { cert: leaf.chainPem, key: leaf.keyPem };
}

describe('a listener', () => {
  test.for([
    ['no certificate', async () => ({})],
    ['an ID not on the list', async () => credentials(await mesh.pki.issueLeaf({ id: '/other' }))],
    [
      'an expired certificate',
      async () =>
        credentials(await mesh.pki.issueLeaf({ id: '/web', notAfterMs: Date.now() - 1000 })),
    ],
    [
      'the right ID from the wrong authority',
      async () => {
        const impostor = await makeTestPki({ nowMs: Date.now() });
        return credentials(await impostor.issueLeaf({ id: '/web' }));
      },
    ],
    [
      'an ID of another trust domain',
      async () => {
        const other = await makeTestPki({ nowMs: Date.now(), trustDomain: 'other.test' });
        return credentials(await other.issueLeaf({ id: '/web' }));
      },
    ],
  ] as const)('closes a client with %s, and no byte reaches the server', async ([, options]) => {
    heads.length = 0;
    const before = (await inbound.stats()).listeners['in']?.['tlsPeersRefused'] ?? 0;
    const { text } = await tryTls(inbound.port('in'), await options());
    expect(text).toBe('');
    expect(heads).toEqual([]);
    expect((await inbound.stats()).listeners['in']?.['tlsPeersRefused']).toBe(before + 1);
  });

  test('keeps out who is on its deny list, and lets in the rest of the trust domain', async () => {
    const tls = { allow: ['spiffe://mesh.test/*'], deny: ['spiffe://mesh.test/mallory'] };
    const made = await mesh.readySds('/orders');
    const sidecar = await startInbound(made, systemClock, tls);
    await until(() => isReady(sidecar));
    const port = sidecar.port('in');
    const mallory = credentials(await mesh.pki.issueLeaf({ id: '/mallory' }));
    heads.length = 0;
    expect((await tryTls(port, mallory)).text).toBe('');
    expect(heads).toEqual([]);
    const alice = credentials(await mesh.pki.issueLeaf({ id: '/alice' }));
    expect((await tryTls(port, alice)).text).toMatch(/hello$/);
    expect((await sidecar.stats()).listeners['in']).toMatchObject({ tlsPeersRefused: 1 });
  });

  test('serves the client on its list, in TLS 1.3 with the hybrid group', async () => {
    const leaf = await mesh.pki.issueLeaf({ id: '/web' });
    const { text, protocol } = await tryTls(inbound.port('in'), {
      ...credentials(leaf),
      ecdhCurve: 'X25519MLKEM768',
    });
    expect(text).toMatch(/hello$/);
    expect(protocol).toBe('TLSv1.3');
  });

  test('accepts no TLS 1.2 and no protocol but HTTP/1.1', async () => {
    const leaf = credentials(await mesh.pki.issueLeaf({ id: '/web' }));
    const port = inbound.port('in');
    expect((await tryTls(port, { ...leaf, maxVersion: 'TLSv1.2' })).text).toBe('');
    expect((await tryTls(port, { ...leaf, ALPNProtocols: ['h2'] })).text).toBe('');
    expect((await tryTls(port, { ...leaf, ALPNProtocols: ['h2', 'http/1.1'] })).text).toMatch(
      /hello$/,
    );
  });

  test('resumes no session', async () => {
    const leaf = credentials(await mesh.pki.issueLeaf({ id: '/web' }));
    const port = inbound.port('in');
    const { session } = await tryTls(port, leaf);
    const again = await tryTls(port, { ...leaf, ...(session === undefined ? {} : { session }) });
    expect(again).toMatchObject({ isReused: false });
    expect(again.text).toMatch(/hello$/);
  });

  test('closes what connects in clear', async () => {
    heads.length = 0;
    const plain = await new Promise<string>((resolve) => {
      const client = connectPlain(inbound.port('in'));
      let text = '';
      client.on('data', (bytes) => {
        text += bytes.toString('latin1');
      });
      client.on('close', () => resolve(text));
      client.write(request);
    });
    expect(plain).not.toContain('HTTP/1.1 200');
    expect(heads).toEqual([]);
  });
});

describe('without a secret', () => {
  test('a listener takes no byte and a cluster sends none; both work once it is there', async () => {
    heads.length = 0;
    const ordersSds = await mesh.sds();
    const webSds = await mesh.sds();
    const orders = await startInbound(ordersSds);
    const web = await startOutbound(webSds, orders.port('in'));
    const leaf = await mesh.pki.issueLeaf({ id: '/web' });
    const serve = certificateSecret(await mesh.pki.issueLeaf({ id: '/orders' }));
    const trust = validationSecret({ 'mesh.test': mesh.pki.anchorsPem });

    expect((await tryTls(orders.port('in'), credentials(leaf))).text).toBe('');
    expect(await get(web.port('out'), '/')).toMatchObject({ status: 503 });
    // A certificate alone is not enough: without a bundle there is nobody to believe.
    ordersSds.sds.set(serve);
    expect((await tryTls(orders.port('in'), credentials(leaf))).text).toBe('');
    expect((await get(orders.proxy.adminPort, '/readyz')).status).toBe(503);
    expect((await get(orders.proxy.adminPort, '/livez')).status).toBe(200);
    expect((await orders.stats()).listeners['in']).toMatchObject({ tlsNotReady: 2 });
    expect((await orders.stats()).listeners['in']).toMatchObject({ tlsHandshakes: 0 });
    // The outbound side has not so much as opened a connection.
    expect((await web.stats()).clusters['orders']).toMatchObject({ connectionsOpened: 0 });
    expect(heads).toEqual([]);

    ordersSds.sds.set(trust);
    webSds.sds.set(certificateSecret(leaf));
    webSds.sds.set(trust);
    await until(() => isReady(web) && isReady(orders));
    expect(await get(web.port('out'), '/')).toMatchObject({ status: 200, body: 'hello' });
    expect((await get(orders.proxy.adminPort, '/readyz')).status).toBe(200);
  });

  test('our own expired certificate is not presented', async () => {
    let aheadMs = 0;
    const clock = { ...systemClock, wallMs: () => Date.now() + aheadMs };
    const orders = await startInbound(await mesh.readySds('/orders'), clock);
    await until(() => isReady(orders));
    const leaf = credentials(await mesh.pki.issueLeaf({ id: '/web', lifetimeSeconds: 86_400 }));
    expect((await tryTls(orders.port('in'), leaf)).text).toMatch(/hello$/);
    aheadMs = 3_601_000;
    expect((await tryTls(orders.port('in'), leaf)).text).toBe('');
    const ready = await get(orders.proxy.adminPort, '/readyz');
    expect(ready).toMatchObject({ status: 503 });
    expect(ready.body).toContain('our certificate expired');
  });
});

describe('a cluster', () => {
  test('does not speak to a server on its deny list, though the trust domain is expected', async () => {
    const port = inbound.port('in');
    const expecting = { expect: ['spiffe://mesh.test/*'] };
    const made = await mesh.readySds('/web');
    const denying = await startOutbound(made, port, systemClock, {
      ...expecting,
      deny: ['spiffe://mesh.test/orders'],
    });
    const twin = await startOutbound(made, port, systemClock, {
      ...expecting,
      deny: ['spiffe://mesh.test/other'],
    });
    await until(() => isReady(denying) && isReady(twin));
    heads.length = 0;
    expect(await get(denying.port('out'), '/')).toMatchObject({ status: 503 });
    expect((await denying.stats()).clusters['orders']).toMatchObject({ peersRefused: 1 });
    expect(heads).toEqual([]);
    expect(await get(twin.port('out'), '/')).toMatchObject({ status: 200 });
  });

  test('makes no connection under a certificate of ours outside its time; one that it has goes on', async () => {
    let aheadMs = 0;
    const clock = { ...systemClock, wallMs: () => Date.now() + aheadMs };
    const web = await startOutbound(await mesh.readySds('/web'), inbound.port('in'), clock);
    const late = await startOutbound(await mesh.readySds('/web'), inbound.port('in'), clock);
    await until(() => isReady(web) && isReady(late));
    const ask = async (sidecar: TestSidecar): Promise<number> =>
      (await get(sidecar.port('out'), '/')).status;
    const opened = async (sidecar: TestSidecar): Promise<number | undefined> =>
      (await sidecar.stats()).clusters['orders']?.['connectionsOpened'];
    expect(await ask(web)).toBe(200);
    for (const outside of [3_601_000, -86_400_000]) {
      aheadMs = outside;
      expect(await ask(late)).toBe(503);
      expect(await opened(late)).toBe(0);
      expect(await ask(web)).toBe(200);
      expect(await opened(web)).toBe(1);
    }
    aheadMs = 0;
    expect(await ask(late)).toBe(200);
    expect(await opened(late)).toBe(1);
  });

  test.for([
    ['its own ID', '/orders', undefined, 200],
    ['another ID', '/other', undefined, 503],
    ['the right ID from the wrong authority', '/orders', 'mesh.test', 503],
    ['an ID of another trust domain', '/orders', 'other.test', 503],
  ] as const)('that meets a server with %s', async ([, id, trustDomain, status]) => {
    const pki =
      trustDomain === undefined ? mesh.pki : await makeTestPki({ nowMs: Date.now(), trustDomain });
    const leaf = await pki.issueLeaf({ id });
    let received = '';
    const server = createServer(
      {
        cert: leaf.chainPem,
        key: leaf.keyPem,
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
      },
      (socket) => {
        socket.on('error', () => {});
        socket.on('data', (bytes) => {
          received += bytes.toString('latin1');
          socket.write(okResponse('hello'));
        });
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    mesh.scope.onClose(() => void server.close());
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const web = await startOutbound(await mesh.readySds('/web'), port);
    await until(() => isReady(web));
    const answer = await get(web.port('out'), '/');
    expect(answer.status).toBe(status);
    if (status === 200) return;
    expect(answer.body).toContain('the endpoint is not who it should be');
    expect(received).toBe('');
  });
});
