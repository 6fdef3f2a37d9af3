/** HTTP/1.1 through the whole stack, byte by byte: answers before the end of the request, Expect, trailers, HTTP/1.0. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { okResponse, ProxyMesh, RawClient, until } from '../../test/fakes/proxy-mesh.ts';
import { exchange, proxyBefore } from '../../test/fakes/scripted-proxy.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

const host = 'Host: app.test\r\n';

describe('an answer before the request has ended', () => {
  const refusal = 'HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\n\r\nno!';

  test.for([
    ['by length', 'Content-Length: 100000000\r\n', 'x'.repeat(1000)],
    ['in chunks', 'Transfer-Encoding: chunked\r\n', `3e8\r\n${'x'.repeat(1000)}\r\n`],
  ] as const)('of a body %s reaches a client that goes on sending', async ([, framing, piece]) => {
    const app = await mesh.server((socket) => {
      // It answers, and takes nothing more.
      socket.once('data', () => {
        socket.pause();
        socket.write(refusal);
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`POST / HTTP/1.1\r\n${host}${framing}\r\n`);
    const beat = setInterval(() => client.send(piece), 1);
    const text = await client.readAll();
    clearInterval(beat);
    expect(text).toMatch(/^HTTP\/1\.1 413 Too Big\r\n[^]*Connection: close\r\n\r\nno!$/);
    // The rest of the request is nobody's: neither the server's nor a second request.
    app.sockets[0]?.resume();
    await until(() => app.sockets[0]?.readableEnded === true || app.sockets[0]?.destroyed === true);
    expect(app.sockets).toHaveLength(1);
    client.close();
  });

  test('that is whole when the request ends leaves the connection to the next', async () => {
    let isAnswered = false;
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        const text = bytes.toString('latin1');
        if (text.startsWith('POST')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab');
        if (text.endsWith('last') && !isAnswered) {
          isAnswered = true;
          socket.write('cd');
        }
        if (text.startsWith('GET')) socket.write(okResponse('next'));
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`POST / HTTP/1.1\r\n${host}Content-Length: 8\r\n\r\nmore`);
    await client.read((text) => text.endsWith('ab'));
    client.send('last');
    // It was said at the head, which came too early to know better.
    expect(await client.readAll()).toMatch(/Connection: close\r\n\r\nabcd$/);
    client.close();
  });
});

describe('Expect: 100-continue', () => {
  const expecting = `POST / HTTP/1.1\r\n${host}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n`;

  test('that the server declines is answered, and the body is not waited for', async () => {
    const { port } = await proxyBefore(
      mesh,
      () => 'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n',
    );
    const text = await exchange(port, expecting);
    expect(text).toMatch(/^HTTP\/1\.1 417 [^]*Connection: close\r\n\r\n$/);
    expect(text).not.toContain('100 Continue');
  });

  test('of a client that does not wait changes nothing', async () => {
    let seen = '';
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        seen += bytes.toString('latin1');
        if (seen.endsWith('body')) socket.write(okResponse('done'));
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`${expecting}body`);
    expect(await client.read((text) => text.endsWith('done'))).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(seen).toContain('Expect: 100-continue');
    client.close();
  });

  test('towards a client of HTTP/1.0 the server’s 100 is kept back', async () => {
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        const text = bytes.toString('latin1');
        if (text.includes('Expect')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        if (text.endsWith('body')) socket.write(okResponse('done'));
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const old = `POST / HTTP/1.0\r\n${host}Content-Length: 4\r\nExpect: 100-continue\r\n\r\nbody`;
    expect(await exchange(inPort, old)).toMatch(/^HTTP\/1\.1 200 OK[^]*done$/);
  });
});

test('trailers of a response reach the client behind its last chunk', async () => {
  const { port, heads } = await proxyBefore(
    mesh,
    () =>
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n',
  );
  const text = await exchange(
    port,
    `GET / HTTP/1.1\r\n${host}TE: trailers\r\nConnection: close, TE\r\n\r\n`,
  );
  expect(text).toMatch(/Trailer: X-Sum\r\n[^]*\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n$/);
  expect(heads[0]).toContain('TE: trailers\r\nConnection: TE');
  // A client of HTTP/1.0 has no place for them.
  expect(await exchange(port, `GET / HTTP/1.0\r\n${host}\r\n`)).toMatch(/\r\n\r\na$/);
});

describe('HTTP/1.0', () => {
  test('is not ended where the server broke off, since the end is all it has to go by', async () => {
    const { port } = await proxyBefore(mesh, (_head, socket) => {
      setImmediate(() => socket.end());
      return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n';
    });
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.0\r\n${host}\r\n`);
    await until(() => client.isClosed || client.isEnded);
    expect(client.isEnded).toBe(false);
    client.close();
  });

  test('with keep-alive carries requests with bodies one after the other', async () => {
    const bodies: string[] = [];
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        const body = bytes.toString('latin1').split('\r\n\r\n')[1] ?? '';
        bodies.push(body);
        socket.write(okResponse(`got ${body}`));
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    for (const body of ['one', 'two', 'six']) {
      client.send(
        `POST / HTTP/1.0\r\n${host}Content-Length: 3\r\nConnection: keep-alive\r\n\r\n${body}`,
      );
      await client.read((text) => text.endsWith(`got ${body}`));
    }
    client.send(`GET / HTTP/1.0\r\n${host}\r\n`);
    const text = await client.readAll();
    expect(text.match(/Connection: keep-alive/g)).toHaveLength(3);
    expect(text).toMatch(/Connection: close\r\n\r\ngot $/);
    expect(bodies).toEqual(['one', 'two', 'six', '']);
  });

  test('with keep-alive is closed where only the close can end the body', async () => {
    const { port } = await proxyBefore(
      mesh,
      () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    );
    const text = await exchange(port, `GET / HTTP/1.0\r\n${host}Connection: keep-alive\r\n\r\n`);
    expect(text).toMatch(/Connection: close\r\n\r\na$/);
    expect(text).not.toContain('keep-alive');
  });
});
