/** HTTP/2 through the whole stack, in clear: Node's own HTTP/2 and raw HTTP/1.1 at the ends, in every pairing. */

import { createHash, randomBytes } from 'node:crypto';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientPreface, frameFlag, frameType } from '../protocol/http2/frame.ts';
import { eventually } from '../../test/fakes/eventually.ts';
import { ask, http2Client, http2Server } from '../../test/fakes/http2-peers.ts';
import {
  get,
  okResponse,
  ProxyMesh,
  RawClient,
  scripted,
  settled,
  type TestSidecar,
} from '../../test/fakes/proxy-mesh.ts';
import { encodeFrame } from '../../test/vectors/http2/transcript.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

const get1 = { ':path': '/1' };
const post = { ':method': 'POST', ':path': '/' };

async function listenerStats(sidecar: TestSidecar): Promise<Record<string, number>> {
  return (await sidecar.stats()).listeners['in'] ?? {};
}

/** Answers with what it was sent: the head as fields, the body as body, the trailers as trailers. */
function echo(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  let trailers: IncomingHttpHeaders = {};
  stream.on('trailers', (received) => {
    trailers = received;
  });
  stream.respond(
    { ':status': 200, 'x-echo': JSON.stringify(headers), 'x-path': headers[':path'] },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => {
    const { 'x-sum': sum = 'none' } = trailers;
    stream.sendTrailers({ 'x-sum': sum });
  });
  stream.pipe(stream);
}

describe('from HTTP/2 to HTTP/2', () => {
  test('head, body and trailers arrive both ways, with the fields a proxy states', async () => {
    const app = await http2Server(mesh.scope, echo);
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const answer = await ask(
      client,
      {
        ...post,
        cookie: ['a=1', 'b=2'],
        te: 'trailers',
        'x-forwarded-client-cert': 'forged',
        x_forwarded_client_cert: 'forged',
        'x-request-id': 'mine',
      },
      'hello',
      { 'x-sum': '5' },
    );
    expect(answer).toMatchObject({ status: 200, body: 'hello', trailers: { 'x-sum': '5' } });
    const seen = JSON.parse(String(answer.headers['x-echo'])) as Record<string, string>;
    expect(seen).toMatchObject({
      ':method': 'POST',
      ':path': '/',
      ':scheme': 'http',
      ':authority': `127.0.0.1:${inPort}`,
      cookie: 'a=1; b=2',
      te: 'trailers',
      'x-forwarded-proto': 'http',
      'x-request-id': 'mine',
    });
    expect(JSON.stringify(seen)).not.toContain('forged');
  });

  test('a hundred requests share one connection to the server', async () => {
    const app = await http2Server(mesh.scope, echo);
    const sidecar = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, sidecar.inPort);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, number) =>
        ask(client, { ...post, ':path': `/${number}` }, `${number}`),
      ),
    );
    expect(answers.map(({ body }) => body)).toEqual(
      Array.from({ length: 100 }, (_, at) => `${at}`),
    );
    expect(app.sessions.size).toBe(1);
    expect((await sidecar.stats()).clusters['app']).toMatchObject({ connectionsOpened: 1 });
  });

  test('megabytes go through both ways at once, unharmed', async () => {
    const app = await http2Server(mesh.scope, echo);
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const bodies = Array.from({ length: 4 }, () => randomBytes(5_000_000));
    const answers = await Promise.all(bodies.map((body) => ask(client, post, body)));
    answers.forEach(({ body }, at) => {
      expect(digest(Buffer.from(body, 'latin1'))).toBe(digest(bodies[at] ?? Buffer.alloc(0)));
    });
  });

  test('a slow reader holds its own server back and nobody else', async () => {
    const size = 48 * 1024 * 1024;
    let sent = 0;
    const app = await http2Server(mesh.scope, (stream, headers) => {
      stream.respond({ ':status': 200 });
      // A server of Node that does not read its request resets it when it has written its answer, sent or not.
      stream.resume();
      if (headers[':path'] !== '/big') {
        stream.end('small');
        return;
      }
      const piece = Buffer.alloc(64 * 1024);
      const feed = (): void => {
        while (sent < size) {
          sent += piece.length;
          if (!stream.write(piece)) {
            stream.once('drain', feed);
            return;
          }
        }
        stream.end();
      };
      feed();
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const slow = client.request({ ':path': '/big' });
    slow.pause();
    await eventually(() => expect(sent).toBeGreaterThan(0));
    expect(await settled(() => sent)).toBeLessThan(size / 4);
    expect(await ask(client, get1)).toMatchObject({ body: 'small' });
    let received = 0;
    slow.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    slow.resume();
    await eventually(() => expect(received).toBe(size), 60_000);
  });

  test('a client that resets its stream ends the one to the server', async () => {
    const codes: number[] = [];
    const app = await http2Server(mesh.scope, (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('x');
      stream.on('close', () => codes.push(stream.rstCode));
    });
    const sidecar = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, sidecar.inPort);
    const stream = client.request(get1);
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('data', resolve));
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => expect(codes).toEqual([constants.NGHTTP2_CANCEL]));
    await eventually(async () =>
      expect(await listenerStats(sidecar)).toMatchObject({ clientAborts: 1 }),
    );
  });

  test('a response that breaks off is a reset to its client, and the connection goes on', async () => {
    const app = await http2Server(mesh.scope, (stream, headers) => {
      stream.respond({ ':status': 200 });
      if (headers[':path'] === '/1')
        stream.write('half', () => stream.destroy(new Error('broken')));
      else stream.end('whole');
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const broken = await ask(client, get1);
    expect(broken).toMatchObject({ status: 200, resetCode: constants.NGHTTP2_INTERNAL_ERROR });
    expect(await ask(client, { ':path': '/2' })).toMatchObject({ body: 'whole', resetCode: 0 });
  });

  test('a request that the server refuses unseen is sent again, even a POST', async () => {
    let count = 0;
    const app = await http2Server(mesh.scope, (stream) => {
      count += 1;
      if (count === 1) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else stream.respond({ ':status': 204 }, { endStream: true });
    });
    const sidecar = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, sidecar.inPort);
    expect(await ask(client, { ...post })).toMatchObject({ status: 204 });
    expect(await listenerStats(sidecar)).toMatchObject({ retries: 1 });
  });

  test('the proxy answers itself where there is no route, and no server', async () => {
    const gone = await mesh.server(() => {});
    gone.close();
    const { inPort } = await mesh.plain(gone.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    expect(await ask(client, { ':path': '/a/../b' })).toMatchObject({
      status: 400,
      body: 'the path has a dot segment\n',
    });
    expect(await ask(client, get1)).toMatchObject({ status: 503 });
    expect(await ask(client, { ...get1, ':method': 'HEAD' })).toMatchObject({
      status: 503,
      body: '',
    });
    const connectAnswer = await ask(
      client,
      { ':method': 'CONNECT', ':authority': 'a.test:443' },
      '',
    );
    expect(connectAnswer).toMatchObject({ status: 501 });
  });

  test('a head larger than we take is a 431, and the connection goes on', async () => {
    const app = await http2Server(mesh.scope, echo);
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    await new Promise((resolve) => client.once('remoteSettings', resolve));
    const fields = Object.fromEntries(
      Array.from({ length: 40 }, (_, at) => [`x-${at}`, 'a'.repeat(1700)]),
    );
    expect(await ask(client, { ...get1, ...fields })).toMatchObject({ status: 431 });
    expect(await ask(client, post, 'x')).toMatchObject({ status: 200 });
  });

  test('a server that says go is left in order: what it has is answered, the rest goes elsewhere', async () => {
    let finish = (): void => {};
    const app = await http2Server(mesh.scope, (stream, headers) => {
      stream.respond({ ':status': 200 });
      if (headers[':path'] === '/slow') finish = () => void stream.end('slow');
      else stream.end('quick');
      if (headers[':path'] === '/slow') stream.session?.goaway();
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const slow = ask(client, { ':path': '/slow' });
    await eventually(() => expect(app.sessions.size).toBe(1));
    await eventually(async () => {
      expect(await ask(client, { ':path': '/quick' })).toMatchObject({ body: 'quick' });
      expect(app.sessions.size).toBe(2);
    });
    finish();
    expect(await slow).toMatchObject({ body: 'slow', resetCode: 0 });
  });

  test('a drain says so first, lets what is under way end, and loses nothing', async () => {
    let finish = (): void => {};
    const app = await http2Server(mesh.scope, (stream) => {
      stream.respond({ ':status': 200 });
      finish = () => void stream.end('done');
    });
    const sidecar = await mesh.plain(app.port, {
      protocol: 'http2',
      upstream: 'http2',
      timeouts: { drain: '20s' },
    });
    const client = http2Client(mesh.scope, sidecar.inPort);
    let goaways = 0;
    client.on('goaway', () => {
      goaways += 1;
    });
    const answer = ask(client, get1);
    await eventually(async () =>
      expect(await listenerStats(sidecar)).toMatchObject({ responses2xx: 0, requests: 1 }),
    );
    await eventually(() => expect(app.sessions.size).toBe(1));
    const closed = sidecar.proxy.close();
    await eventually(() => expect(goaways).toBeGreaterThan(0));
    finish();
    expect(await answer).toMatchObject({ body: 'done', resetCode: 0 });
    await closed;
  });
});

test('a client that vanishes while the server is silent is found out by PING; one that answers stays', async () => {
  const closed: string[] = [];
  const app = await http2Server(mesh.scope, (stream, headers) => {
    stream.respond({ ':status': 200 });
    stream.on('close', () => closed.push(String(headers[':path'])));
  });
  const sidecar = await mesh.plain(app.port, {
    protocol: 'http2',
    upstream: 'http2',
    timeouts: { idle: '500ms' },
  });
  const alive = http2Client(mesh.scope, sidecar.inPort).request({
    ':path': '/alive',
    'content-type': 'application/grpc',
  });
  alive.on('error', () => {});
  // It reads its answer, and then says nothing to anybody.
  const vanished = new RawClient(sidecar.inPort);
  vanished.socket.write(clientPreface, 'latin1');
  vanished.socket.write(encodeFrame(frameType.settings, 0, 0, Buffer.alloc(0)));
  vanished.socket.write(
    encodeFrame(
      frameType.headers,
      frameFlag.endHeaders | frameFlag.endStream,
      1,
      Buffer.from(
        '8286' +
          '4109' +
          Buffer.from('127.0.0.1').toString('hex') +
          '4405' +
          Buffer.from('/gone').toString('hex'),
        'hex',
      ),
    ),
  );
  await eventually(() => expect(closed).toEqual(['/gone']));
  expect(vanished.isClosed || vanished.isEnded).toBe(true);
  expect(alive.destroyed).toBe(false);
  alive.destroy();
});

test('a server that is none is a 503 soon, however many ask', async () => {
  const app = await mesh.server((socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  const sidecar = await mesh.plain(app.port, { protocol: 'http2', upstream: 'http2' });
  const client = http2Client(mesh.scope, sidecar.inPort);
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(client, get1)));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 503));
  expect((await sidecar.stats()).clusters['app']?.['protocolErrors']).toBeGreaterThan(0);
});

test('what the server allows at once is kept to, over as many connections as the cluster may have', async () => {
  let now = 0;
  let most = 0;
  const app = await http2Server(
    mesh.scope,
    (stream) => {
      now += 1;
      most = Math.max(most, now);
      setTimeout(() => {
        now -= 1;
        stream.respond({ ':status': 200 });
        stream.end('x');
      }, 5);
    },
    { maxConcurrentStreams: 3 },
  );
  const sidecar = await mesh.sidecar(undefined, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http2',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${app.port}`], protocol: 'http2', connectionsMax: 2 },
    ],
    timeouts: { drain: '50ms' },
  });
  const client = http2Client(mesh.scope, sidecar.port('in'));
  const answers = await Promise.all(Array.from({ length: 60 }, () => ask(client, get1)));
  expect(answers.every(({ status, resetCode }) => status === 200 && resetCode === 0)).toBe(true);
  expect(most).toBeLessThanOrEqual(6);
  expect(app.sessions.size).toBeLessThanOrEqual(2);
});

describe('between the versions', () => {
  test('HTTP/1.1 in, HTTP/2 out: the same request, less what concerned one hop', async () => {
    const app = await http2Server(mesh.scope, echo);
    const { inPort } = await mesh.plain(app.port, { upstream: 'http2' });
    const client = new RawClient(inPort);
    client.send(
      'POST /a?b=c HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTE: trailers, deflate\r\n' +
        'Connection: TE, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 9\r\nX-Mixed-Case: Yes\r\nCookie: a=1; b=2\r\n\r\n' +
        '5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n',
    );
    const text = await client.read((all) => all.endsWith('\r\n0\r\nx-sum: 5\r\n\r\n'));
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toContain('Transfer-Encoding: chunked\r\n');
    expect(text).toContain('\r\n5\r\nhello\r\n');
    const seen = JSON.parse(/x-echo: (.*)\r\n/.exec(text)?.[1] ?? '') as Record<string, string>;
    expect(seen).toMatchObject({
      ':method': 'POST',
      ':path': '/a?b=c',
      ':scheme': 'http',
      ':authority': 'app.test',
      te: 'trailers',
      'x-mixed-case': 'Yes',
      cookie: 'a=1; b=2',
    });
    for (const gone of ['x-hop', 'connection', 'keep-alive', 'transfer-encoding', 'host']) {
      expect(seen).not.toHaveProperty(gone);
    }
    // The connection is kept.
    client.send('GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect(await client.read((all) => all.includes('x-path: /next'))).toContain('200 OK');
    client.close();
  });

  test('answers of HTTP/2 in HTTP/1.1: lengths, HEAD, 204, 304, 103 and HTTP/1.0', async () => {
    const app = await http2Server(mesh.scope, (stream, headers) => {
      const path = String(headers[':path']);
      if (path === '/103') stream.additionalHeaders({ ':status': 103, link: '</a>' });
      if (path === '/204' || path === '/304') {
        stream.respond({ ':status': Number(path.slice(1)) }, { endStream: true });
      } else if (path === '/empty') {
        stream.respond({ ':status': 200 }, { endStream: true });
      } else {
        stream.respond({ ':status': 200, ...(path === '/length' ? { 'content-length': 3 } : {}) });
        stream.end('abc');
      }
    });
    const { inPort } = await mesh.plain(app.port, { upstream: 'http2' });
    expect(await get(inPort, '/length')).toMatchObject({
      body: 'abc',
      headers: { 'content-length': '3' },
    });
    expect(await get(inPort, '/chunks')).toMatchObject({
      body: 'abc',
      headers: { 'transfer-encoding': 'chunked' },
    });
    expect(await get(inPort, '/empty')).toMatchObject({
      body: '',
      headers: { 'content-length': '0' },
    });
    expect(await get(inPort, '/204')).toMatchObject({ status: 204, body: '' });
    expect(await get(inPort, '/304')).toMatchObject({ status: 304, body: '' });
    expect(await get(inPort, '/length', { method: 'HEAD' })).toMatchObject({
      body: '',
      headers: { 'content-length': '3' },
    });
    const client = new RawClient(inPort);
    client.send('GET /103 HTTP/1.1\r\nHost: a.test\r\n\r\n');
    expect(await client.read((all) => all.endsWith('0\r\n\r\n'))).toMatch(
      /^HTTP\/1\.1 103[^]*200 OK/,
    );
    client.close();
    const old = new RawClient(inPort);
    old.send('GET /chunks HTTP/1.0\r\nHost: a.test\r\n\r\n');
    const text = await old.readAll();
    expect(text).toContain('Connection: close');
    expect(text).not.toContain('chunked');
    expect(text.endsWith('\r\n\r\nabc')).toBe(true);
  });

  test('HTTP/2 in, HTTP/1.1 out: the host from the authority, cookies in one field, a body in chunks', async () => {
    let seen = '';
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        seen += bytes.toString('latin1');
        if (!seen.endsWith('0\r\nx-sum: 5\r\n\r\n')) return;
        socket.write(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n' +
            '2\r\nhi\r\n0\r\nX-Sum: 2\r\n\r\n',
        );
      });
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const answer = await ask(
      client,
      { ...post, ':authority': 'app.test', cookie: ['a=1', 'b=2'], te: 'trailers' },
      'hello',
      { 'x-sum': '5' },
    );
    expect(seen).toMatch(/^POST \/ HTTP\/1\.1\r\nHost: app\.test\r\n/);
    expect(seen).toContain('\r\ncookie: a=1; b=2\r\n');
    expect(seen).toContain('\r\nTransfer-Encoding: chunked\r\n');
    expect(seen).toContain('\r\nTE: trailers\r\nConnection: TE\r\n');
    expect(seen).toContain('5\r\nhello\r\n');
    expect(answer).toMatchObject({ status: 200, body: 'hi', trailers: { 'x-sum': '2' } });
    expect(answer.headers).toMatchObject({ 'x-kept': '1' });
    expect(answer.headers).not.toHaveProperty('x-hop');
  });

  test('a length that was stated stays one, and methods without a body say so', async () => {
    const heads: string[] = [];
    const app = await mesh.server((socket) => {
      socket.on('data', (bytes) => {
        heads.push(bytes.toString('latin1'));
        socket.write(okResponse('x'));
      });
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    await ask(client, { ...post, 'content-length': 5 }, 'hello');
    await ask(client, post);
    await ask(client, get1);
    expect(heads[0]).toContain('content-length: 5\r\n');
    expect(heads[0]).not.toContain('chunked');
    expect(heads[1]).toContain('Content-Length: 0\r\n');
    expect(heads[2]).not.toMatch(/content-length|chunked/i);
  });

  test('each stream of HTTP/2 has a connection of HTTP/1.1 for itself, in parallel', async () => {
    const app = await mesh.server(scripted((head) => okResponse(head.split(' ')[1] ?? '')));
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2' });
    const client = http2Client(mesh.scope, inPort);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => ask(client, { ':path': `/${at}` })),
    );
    expect(answers.map(({ body }) => body)).toEqual(
      Array.from({ length: 50 }, (_, at) => `/${at}`),
    );
  });

  test('a body that breaks off in HTTP/1.1 is a reset in HTTP/2', async () => {
    const app = await mesh.server((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
        socket.end();
      });
    });
    const { inPort } = await mesh.plain(app.port, { protocol: 'http2' });
    const answer = await ask(http2Client(mesh.scope, inPort), get1);
    expect(answer).toMatchObject({ status: 200, resetCode: constants.NGHTTP2_INTERNAL_ERROR });
  });

  test('a stream that breaks off in HTTP/2 closes the connection in HTTP/1.1', async () => {
    const app = await http2Server(mesh.scope, (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('half', () => stream.destroy(new Error('broken')));
    });
    const { inPort } = await mesh.plain(app.port, { upstream: 'http2' });
    await expect(get(inPort, '/')).rejects.toThrow();
  });
});

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
