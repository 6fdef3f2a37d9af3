/** curl, nghttp and h2load through a pair of sidecars, while certificates rotate. */

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { http2Server } from '../fakes/http2-peers.ts';
import { okResponse, ProxyMesh, scripted, type TestSidecar } from '../fakes/proxy-mesh.ts';
import { rotate, type SidecarPair, whileRotating } from '../fakes/rotating-pair.ts';
import { lacks } from '../programs.ts';

const run = promisify(execFile);

let mesh: ProxyMesh;
let pair: SidecarPair;
let orders: TestSidecar;
let port = 0;
/** Straight to the sidecar's mutual TLS, with a certificate of the mesh. */
let certificate: string[] = [];
let body = '';
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  const app = await http2Server(mesh.scope, (stream, headers) => {
    stream.respond({ ':status': 200, 'x-method': headers[':method'] });
    stream.pipe(stream);
  });
  pair = await mesh.pair(app.port, {
    protocol: 'http2',
    between: 'http2',
    upstream: 'http2',
  });
  ({ orders, port } = pair);
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const path = (name: string): string => join(mesh.directory, name);
  writeFileSync(path('chain.pem'), leaf.chainPem);
  // A key of this test alone, gone with its directory.
  writeFileSync(path('key.pem'), leaf.keyPem, { mode: 0o600 });
  certificate = ['--cert', path('chain.pem'), '--key', path('key.pem')];
  body = path('body');
  writeFileSync(body, randomBytes(300_000));
  writeFileSync(`${body}.small`, 'a message');
});
afterAll(() => mesh.close());

describe.skipIf(lacks('curl'))('curl', () => {
  test('speaks HTTP/2 by prior knowledge through both sidecars, at every certificate', async () => {
    await whileRotating(
      mesh,
      pair,
      async () => {
        const { stdout } = await run('curl', [
          '--silent',
          '--http2-prior-knowledge',
          '--max-time',
          '20',
          '--data',
          'hello',
          '--write-out',
          ' %{http_version} %{http_code}',
          `http://127.0.0.1:${port}/x`,
        ]);
        expect(stdout).toBe('hello 2 200');
      },
      3,
    );
  });

  test('agrees on h2 by ALPN in mutual TLS, and sends a body larger than every window', async () => {
    const target = `https://127.0.0.1:${orders.port('in')}/x`;
    const { stdout } = await run('curl', [
      // The server's name is a SPIFFE ID, which curl does not know.
      '--silent',
      '--insecure',
      '--http2',
      '--max-time',
      '20',
      ...certificate,
      '--data-binary',
      `@${body}`,
      '--output',
      `${body}.answer`,
      '--write-out',
      '%{http_version} %{http_code} %{size_download}',
      target,
    ]);
    expect(stdout).toBe('2 200 300000');
    await run('cmp', [body, `${body}.answer`]);
  });

  test('that wants HTTP/1.1 only is told in the handshake that there is none', async () => {
    const target = `https://127.0.0.1:${orders.port('in')}/x`;
    const refused = run('curl', ['--silent', '--insecure', '--http1.1', ...certificate, target]);
    await expect(refused).rejects.toMatchObject({ code: 35 });
  });
});

describe.skipIf(lacks('nghttp'))('nghttp', () => {
  test('fetches several at once, with priorities, padding and CONTINUATION, at every certificate', async () => {
    const target = `http://127.0.0.1:${port}/`;
    await whileRotating(
      mesh,
      pair,
      async () => {
        const { stdout } = await run('nghttp', [
          '--verbose',
          '--null-out',
          '--timeout=20s',
          '--padding=100',
          '--continuation',
          '--multiply=20',
          target,
        ]);
        expect(stdout.match(/:status: 200/g)).toHaveLength(20);
        expect(stdout).not.toMatch(/RST_STREAM|error_code=(?!NO_ERROR)/);
      },
      3,
    );
  });

  test('sends a body with trailers, in small windows', async () => {
    const { stdout } = await run('nghttp', [
      '--verbose',
      '--null-out',
      '--timeout=20s',
      '--window-bits=10',
      '--data',
      body,
      '--trailer',
      'x-sum: 1',
      `http://127.0.0.1:${port}/`,
    ]);
    expect(stdout).toContain(':status: 200');
    const received = [...stdout.matchAll(/recv DATA frame <length=(\d+)/g)];
    expect(received.reduce((sum, [, length]) => sum + Number(length), 0)).toBe(300_000);
  });
});

describe.skipIf(lacks('h2load'))('h2load', () => {
  test('finds no failed request among thousands while certificates rotate', async () => {
    const load = run('h2load', [
      '--clients=8',
      '--max-concurrent-streams=16',
      '--requests=8000',
      `--data=${body}.small`,
      `http://127.0.0.1:${port}/`,
    ]);
    for (let count = 0; count < 3; count += 1) {
      await rotate(orders, mesh.pki, '/orders');
      await rotate(pair.web, mesh.pki, '/web');
    }
    const { stdout } = await load;
    expect(stdout).toContain('8000 succeeded, 0 failed, 0 errored, 0 timeout');
    expect(stdout).toContain('status codes: 8000 2xx');
  });

  test('and none in front of a server of HTTP/1.1', async () => {
    const app = await mesh.server(scripted(() => okResponse('hello')));
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2' });
    const { stdout } = await run('h2load', [
      '--clients=4',
      '--max-concurrent-streams=8',
      '--requests=4000',
      `http://127.0.0.1:${inPort}/`,
    ]);
    expect(stdout).toContain('4000 succeeded, 0 failed, 0 errored, 0 timeout');
  });
});
