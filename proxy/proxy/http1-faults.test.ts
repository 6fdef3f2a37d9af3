/** HTTP/1.1 through the whole stack, byte by byte: ends that fail, and what must not be carried. */

import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { get, okResponse, ProxyMesh, RawClient, until } from '../../test/fakes/proxy-mesh.ts';
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

describe('faults of the server', () => {
  test('one that closes in the middle of a body cuts the client off too', async () => {
    const { port, stats } = await before((_head, socket) => {
      setImmediate(() => socket.end());
      return 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf';
    });
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.1\r\n${host}\r\n`);
    expect(await client.readAll()).toMatch(/half$/);
    await until(() => client.isClosed || client.isEnded);
    expect(await stats()).toMatchObject({ responsesCutOff: 1, requests: 1 });
  });

  test.for([
    ['closes without an answer', 502, (socket: Socket) => socket.end()],
    ['resets', 502, (socket: Socket) => socket.resetAndDestroy()],
    ['answers nonsense', 502, (socket: Socket) => socket.write('SSH-2.0-x\r\n\r\n')],
    [
      'switches protocols unasked',
      502,
      (socket: Socket) => socket.write('HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n'),
    ],
    ['answers in time', 200, (socket: Socket) => socket.write(okResponse(''))],
  ] as const)('one that %s is a %i', async ([, status, act]) => {
    const { port } = await before((_head, socket) => {
      act(socket);
      return '';
    });
    const answer = await get(port, '/');
    expect(answer.status).toBe(status);
    if (status === 502) expect(answer.body).toContain('no response from cluster app: ');
  });

  test('one that is not there is a 503', async () => {
    const gone = await mesh.server(() => {});
    gone.close();
    const { inPort } = await mesh.plain(gone.port);
    expect(await get(inPort, '/')).toMatchObject({
      status: 503,
      body: 'no connection to cluster app: the endpoint does not accept connections\n',
    });
  });

  test('bytes after a response do not become the answer to the next request', async () => {
    const { port, sockets } = await before((head) =>
      head.includes('/first') ? `${okResponse('one')}${okResponse('smuggled')}` : okResponse('two'),
    );
    const client = new RawClient(port);
    client.send(`GET /first HTTP/1.1\r\n${host}\r\n`);
    await client.read((text) => text.endsWith('one'));
    client.send(`GET /second HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    expect(await client.readAll()).toMatch(/two$/);
    expect(sockets).toHaveLength(2);
  });
});

describe('a pooled connection that died', () => {
  /** Answers the first request of a connection and drops the connection at the second. */
  function mortal(): (socket: Socket) => void {
    return (socket) => {
      let requests = 0;
      socket.on('data', (bytes) => {
        requests += 1;
        if (requests > 1) socket.resetAndDestroy();
        else socket.write(okResponse(bytes.toString('latin1').split(' ')[0] ?? ''));
      });
    };
  }

  test.for([
    ['GET', 200],
    ['PUT', 200],
    ['POST', 502],
  ] as const)('%s without a body gets %i', async ([method, status]) => {
    const app = await mesh.server(mortal());
    const sidecar = await mesh.plain(app.port);
    expect((await get(sidecar.inPort, '/')).status).toBe(200);
    const headers = { 'content-length': '0' };
    expect((await get(sidecar.inPort, '/', { method, headers })).status).toBe(status);
    const { retries } = (await sidecar.stats()).listeners['in'] ?? {};
    expect(retries).toBe(status === 200 ? 1 : 0);
  });

  test('a body that has been given away is not given again', async () => {
    const app = await mesh.server(mortal());
    const sidecar = await mesh.plain(app.port);
    expect((await get(sidecar.inPort, '/')).status).toBe(200);
    expect((await get(sidecar.inPort, '/', { method: 'PUT', body: 'x' })).status).toBe(502);
    expect(app.sockets).toHaveLength(1);
  });
});

describe('faults of the client', () => {
  test('one that goes away takes its request away from the server', async () => {
    let isDropped = false;
    const { port, stats } = await before((_head, socket) => {
      socket.on('close', () => {
        isDropped = true;
      });
      return '';
    });
    const client = new RawClient(port);
    client.send(`GET / HTTP/1.1\r\n${host}\r\n`);
    let seen: Record<string, number> = {};
    while (seen['requests'] !== 1) seen = await stats();
    client.close();
    await until(() => isDropped);
    while (seen['clientAborts'] !== 1) seen = await stats();
  });

  test.for([
    [
      'two lengths',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      400,
    ],
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400],
    ['a bare line feed', 'GET / HTTP/1.1\nHost: a\n\n', 400],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    [
      'a TLS hello on a plaintext port',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
      400,
    ],
    ['a head without end', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(70_000)}`, 431],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ] as const)('%s: refused, closed, and the server sees nothing', async ([, text, status]) => {
    const { port, heads, stats } = await before(() => okResponse(''));
    expect(await exchange(port, text)).toMatch(
      new RegExp(`^HTTP/1.1 ${status} [^]*Connection: close`),
    );
    expect(heads).toEqual([]);
    expect(await stats()).toMatchObject({ requestsRefused: 1, requests: 0 });
  });

  test('a bad chunk in the middle of a body ends both connections', async () => {
    let received = '';
    let isDropped = false;
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        received += bytes.toString('latin1');
      });
      socket.on('end', () => {
        isDropped = true;
      });
    });
    const { inPort } = await mesh.plain(app.port);
    const client = new RawClient(inPort);
    client.send(`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n`);
    await until(() => received.includes('ab'));
    client.send('zz\r\nGET /smuggled HTTP/1.1\r\n\r\n');
    expect(await client.readAll()).toMatch(/^HTTP\/1.1 400/);
    await until(() => isDropped);
    expect(received).not.toContain('smuggled');
  });
});

describe('what is not carried', () => {
  test.for([
    [
      'CONNECT',
      `CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n`,
      501,
      'CONNECT is not supported',
    ],
    ['a dot segment', `GET /a/%2e%2E/b HTTP/1.1\r\n${host}\r\n`, 400, 'dot segment'],
  ] as const)('%s', async ([, text, status, says]) => {
    const { port, heads } = await before(() => okResponse(''));
    const client = new RawClient(port);
    client.send(text);
    const answer = await client.read((seen) => seen.includes(says));
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(heads).toEqual([]);
    client.close();
  });

  test('an offer of h2c is ignored, as the standard allows', async () => {
    const { port, heads } = await before(() => okResponse('x'));
    const answer = await get(port, '/', {
      headers: {
        connection: 'Upgrade, HTTP2-Settings',
        upgrade: 'h2c',
        'http2-settings': 'AAMAAABk',
      },
    });
    expect(answer.status).toBe(200);
    expect(heads[0]).not.toMatch(/upgrade|http2-settings/i);
  });
});
