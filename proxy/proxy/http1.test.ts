/** HTTP/1.1 through the whole stack, byte by byte, without TLS: what goes in, and what comes out. */

import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  get,
  okResponse,
  ProxyMesh,
  RawClient,
  settled,
  until,
} from '../../test/fakes/proxy-mesh.ts';
import { exchange, proxyBefore, type ScriptedProxy } from '../../test/fakes/scripted-proxy.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

const host = 'Host: app.test\r\n';

function before(
  answer: (head: string, socket: Socket) => string,
  timeouts: Record<string, string> = {},
): Promise<ScriptedProxy> {
  return proxyBefore(mesh, answer, timeouts);
}

describe('keeping and closing', () => {
  test('pipelined requests are answered in order over one upstream connection', async () => {
    const { port, heads, sockets } = await before((head) => okResponse(head.split(' ')[1] ?? ''));
    const client = new RawClient(port);
    client.send(`GET /1 HTTP/1.1\r\n${host}\r\nGET /2 HTTP/1.1\r\n${host}\r\nGET /3 HTTP/1.1\r\n`);
    await client.read((text) => text.endsWith('/2'));
    client.send(`${host}Connection: close\r\n\r\n`);
    const text = await client.readAll();
    expect([...text.matchAll(/\r\n\r\n(\/\d)/g)].map((match) => match[1])).toEqual([
      '/1',
      '/2',
      '/3',
    ]);
    expect(text.match(/Connection: close/g)).toHaveLength(1);
    expect(heads).toHaveLength(3);
    expect(sockets).toHaveLength(1);
  });

  test('HTTP/1.0 is answered once and closed, and kept where it asks for that', async () => {
    const { port } = await before(() => okResponse('x'));
    expect(await exchange(port, `GET / HTTP/1.0\r\n${host}\r\n`)).toContain('Connection: close');
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.0\r\n${host}Connection: keep-alive\r\n\r\n`);
    expect(await client.read((text) => text.endsWith('x'))).toContain('Connection: keep-alive');
    expect(client.isEnded).toBe(false);
    client.close();
  });

  test('a chunked response reaches a client of HTTP/1.0 without chunks, ended by the close', async () => {
    const chunked =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
    const { port } = await before(() => chunked);
    const old = await exchange(port, `GET / HTTP/1.0\r\n${host}\r\n`);
    expect(old).not.toContain('chunked');
    expect(old.endsWith('\r\n\r\nabcde')).toBe(true);
    const answer = await get(port, '/');
    expect(answer).toMatchObject({ status: 200, body: 'abcde' });
    expect(answer.headers['transfer-encoding']).toBe('chunked');
  });

  test('a response that ends with the connection is chunked for HTTP/1.1', async () => {
    const { port } = await before((_head, socket) => {
      setImmediate(() => socket.end());
      return 'HTTP/1.1 200 OK\r\n\r\nto the end';
    });
    expect(await get(port, '/')).toMatchObject({ status: 200, body: 'to the end' });
  });

  test('a server that closes after each response costs a connection each and no failure', async () => {
    const { port, sockets } = await before((_head, socket) => {
      setImmediate(() => socket.end());
      return okResponse('x', 'Connection: close\r\n');
    });
    for (let count = 0; count < 3; count += 1) expect((await get(port, '/')).status).toBe(200);
    expect(sockets).toHaveLength(3);
  });
});

describe('bodies', () => {
  test('a chunked request reaches the server in chunks, trailers included', async () => {
    let received = '';
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        received += bytes.toString('latin1');
        if (received.endsWith('\r\n\r\n') && received.includes('\r\n0\r\n'))
          socket.write(okResponse('y'));
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const answer = await exchange(
      inPort,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n` +
        '5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n',
    );
    expect(answer).toContain('200 OK');
    expect(received).toContain('Transfer-Encoding: chunked');
    expect(received).toContain('5\r\nhello\r\n');
    expect(received).toContain('0\r\nX-Sum: 11\r\n\r\n');
  });

  test('HEAD has the length of a body and no body, and the connection goes on', async () => {
    const { port } = await before((head) =>
      head.startsWith('HEAD')
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'
        : okResponse('next'),
    );
    const text = await exchange(
      port,
      `HEAD / HTTP/1.1\r\n${host}\r\nGET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
    );
    expect(text).toContain('Content-Length: 1000');
    expect(text.endsWith('next')).toBe(true);
  });

  test('100 Continue comes from the server, and the body only after it', async () => {
    let seen = '';
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        seen += bytes.toString('latin1');
        if (seen.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        if (seen.endsWith('body')) socket.write(okResponse('done'));
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`POST / HTTP/1.1\r\n${host}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n`);
    await client.read((text) => text.includes('100 Continue'));
    expect(seen).not.toContain('body');
    client.send('body');
    expect(await client.read((text) => text.endsWith('done'))).toContain('200 OK');
    client.close();
  });

  test('103 goes before the response, and not to a client of HTTP/1.0', async () => {
    const { port } = await before(
      () => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okResponse('x')}`,
    );
    const close = 'Connection: close\r\n';
    expect(await exchange(port, `GET / HTTP/1.1\r\n${host}${close}\r\n`)).toMatch(
      /^HTTP\/1.1 103[^]*200 OK/,
    );
    expect(await exchange(port, `GET / HTTP/1.0\r\n${host}\r\n`)).toMatch(/^HTTP\/1.1 200/);
  });

  test('a slow reader holds the server back, and gets every byte', async () => {
    const size = 48 * 1024 * 1024;
    let isBlocked = false;
    const app = await mesh.server((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
        let left = size;
        const feed = (): void => {
          while (left > 0) {
            const piece = Buffer.alloc(Math.min(left, 1024 * 1024), 0x61);
            left -= piece.length;
            if (!socket.write(piece)) {
              isBlocked = true;
              socket.once('drain', feed);
              return;
            }
          }
        };
        feed();
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.socket.pause();
    let received = 0;
    client.socket.removeAllListeners('data');
    client.send(`GET / HTTP/1.1\r\n${host}\r\n`);
    await until(() => isBlocked);
    const [upstream] = app.sockets;
    // The server's own buffer stays full: the proxy has stopped to read.
    const held = await settled(() => upstream?.writableLength ?? 0);
    expect(size - (upstream?.bytesWritten ?? 0) + held).toBeGreaterThan(size / 2);
    client.socket.on('data', (bytes) => {
      received += bytes.length;
    });
    client.socket.resume();
    await until(() => received >= size);
    client.close();
  });

  test('a big upload is held back by a server that does not read, and arrives whole', async () => {
    const size = 32 * 1024 * 1024;
    let received = 0;
    const app = await mesh.server((socket) => {
      socket.pause();
      socket.on('data', (bytes) => {
        received += bytes.length;
        if (received > size) socket.write(okResponse('thanks'));
      });
      socket.pause();
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`PUT / HTTP/1.1\r\n${host}Content-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size, 0x62));
    await until(() => app.sockets.length === 1);
    await settled(() => client.socket.writableLength);
    expect(received).toBe(0);
    app.sockets[0]?.resume();
    await client.read((text) => text.endsWith('thanks'));
    expect(received).toBeGreaterThan(size);
    client.close();
  });
});

// Side by side, since each waits for a sweep of the deadlines.
describe.concurrent('slowness', () => {
  test('a server that does not answer is a 504', async () => {
    const { port } = await before(() => '', { response: '50ms' });
    expect(await get(port, '/')).toMatchObject({ status: 504 });
  });

  test('a head that comes too slowly gets 408, an idle connection just ends', async () => {
    const { port } = await before(() => okResponse(''), { head: '1ms', idle: '1ms' });
    const slow = new RawClient(port);
    slow.send('GET / HTTP/1.1\r\nHost:');
    const idle = new RawClient(port);
    expect(await slow.readAll()).toMatch(/^HTTP\/1.1 408/);
    expect(await idle.readAll()).toBe('');
    for (const client of [slow, idle]) client.close();
  });

  test('a body that stops in the middle is a 408, and the server is left', async () => {
    let isLeft = false;
    const app = await mesh.server((socket) => {
      socket.resume().on('end', () => {
        isLeft = true;
      });
    });
    const { inPort } = await mesh.plain(app.port, { timeouts: { idle: '1ms' } });
    const client = new RawClient(inPort);
    client.send(`POST / HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\nabc`);
    expect(await client.readAll()).toMatch(/^HTTP\/1.1 408/);
    await until(() => isLeft);
    client.close();
  });

  test('a client that stops reading is dropped in the end', async () => {
    const app = await mesh.server((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`);
        socket.write(Buffer.alloc(64 * 1024 * 1024));
      });
    });
    const sidecar = await mesh.plain(app.port, { timeouts: { idle: '1ms' } });
    const client = new RawClient(sidecar.inPort);
    client.socket.pause();
    client.send(`GET / HTTP/1.1\r\n${host}\r\n`);
    let seen: Record<string, number> = {};
    while (seen['clientAborts'] !== 1) seen = (await sidecar.stats()).listeners['in'] ?? {};
    await until(() => app.sockets[0]?.destroyed === true || app.sockets[0]?.readableEnded === true);
    client.close();
  });

  test('a piece of a body is passed on when it comes, not when the body ends', async () => {
    let more = (): void => {};
    const { port } = await before((_head, socket) => {
      more = () => void socket.write('3\r\ntwo\r\n0\r\n\r\n');
      return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n';
    });
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.1\r\n${host}\r\n`);
    await client.read((text) => text.includes('one'));
    expect(client.text).not.toContain('two');
    more();
    await client.read((text) => text.endsWith('0\r\n\r\n'));
    client.close();
  });

  test('an answer before the end of an upload ends the connection and says so', async () => {
    const app = await mesh.server((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Too Big\r\nContent-Length: 0\r\n\r\n'));
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`POST / HTTP/1.1\r\n${host}Content-Length: 1000\r\n\r\nabc`);
    const text = await client.readAll();
    expect(text).toMatch(/^HTTP\/1.1 413/);
    expect(text).toContain('Connection: close');
    client.close();
  });
});
