/** The TLS side of our gRPC servers, met by clients with and without a server name. */

import { once } from 'node:events';
import { createSecureContext, connect, type SecureContext } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../core/index.ts';
import { createRpcServer, type RpcServer } from '../../rpc/index.ts';
import { makeTestPki } from '../fakes/test-pki.ts';

let server: RpcServer;
let context: SecureContext | undefined;
let port: number;

beforeEach(async () => {
  server = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  context = await makeContext('/first');
  ({ port } = await server.listenTls({
    host: '127.0.0.1',
    port: 0,
    context: () => context,
    verifyPeer: () => ({ kind: 'accepted', identity: undefined }),
  }));
});

afterEach(() => server.close());

async function makeContext(id: string): Promise<SecureContext> {
  const pki = await makeTestPki({ trustDomain: 'mesh.test', nowMs: Date.now() });
  const leaf = await pki.issueLeaf({ id });
  return createSecureContext({
    ca: [],
    key: leaf.keyPem,
    cert: leaf.chainPem,
    minVersion: 'TLSv1.3',
  });
}

/** The URI of the certificate that a client is shown. */
async function shownTo(options: object): Promise<string | undefined> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    ...options,
  });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.subjectAltName;
  } finally {
    socket.destroy();
  }
}

describe.each([
  ['with a server name', { servername: 'signet' }],
  ['without a server name', {}],
])('a client %s', (_name, options) => {
  test('is shown the certificate of the moment', async () => {
    expect(await shownTo(options)).toBe('URI:spiffe://mesh.test/first');
    context = await makeContext('/second');
    expect(await shownTo(options)).toBe('URI:spiffe://mesh.test/second');
  });

  test('is turned away while there is no certificate to show, and served afterwards', async () => {
    const before = context;
    context = undefined;
    await expect(shownTo(options)).rejects.toThrow();
    context = before;
    expect(await shownTo(options)).toBe('URI:spiffe://mesh.test/first');
  });

  test('is turned away with TLS 1.2', async () => {
    await expect(shownTo({ ...options, maxVersion: 'TLSv1.2' })).rejects.toThrow(
      /protocol version/,
    );
    expect(await shownTo({ ...options, maxVersion: 'TLSv1.3' })).toBe(
      'URI:spiffe://mesh.test/first',
    );
  });
});

test('a client that breaks its handshake off harms no other', async () => {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.on('error', () => {});
  socket.destroy();
  expect(await shownTo({})).toBe('URI:spiffe://mesh.test/first');
});
