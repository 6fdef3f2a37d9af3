/** Callers of the admin API who mean harm, or do it: each is refused in its own words, and the CA serves on. */

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { problemSchema } from '../../api/index.ts';
import { adminRequest, type RawAnswer } from '../fakes/admin-request.ts';
import { CaFixture } from './ca-fixture.ts';

let mesh: CaFixture;
beforeAll(async () => {
  mesh = await CaFixture.begin();
});
afterAll(() => mesh.end());

function post(
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  return adminRequest(mesh.ca.adminSocket, { method: 'POST', path, body, headers });
}

async function expectAlive(): Promise<void> {
  const { status } = await adminRequest(mesh.ca.adminSocket, { method: 'GET', path: '/livez' });
  expect(status).toBe(200);
}

describe('a body that is refused before it is a request', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  test.for([
    ['bad JSON', '{"ttlSeconds":60', 'is not JSON'],
    ['nesting that would exhaust the stack', deep, 'levels'],
    ['nesting inside a field', `{"alias":${deep}}`, 'levels'],
    ['a key that stands twice', '{"ttlSeconds":60,"ttlSeconds":61}', '"ttlSeconds" twice'],
    ['a prototype', '{"ttlSeconds":60,"__proto__":{"x":1}}', '__proto__'],
    ['a number that is none', '{"ttlSeconds":1e999}', 'ttlSeconds'],
  ] as const)('%s', async ([, body, reason]) => {
    const headers = { 'idempotency-key': 'hostile' };
    const answer = await post('/v1/tokens', body, headers);
    expect(answer.status).toBe(400);
    expect(problemSchema.parse(JSON.parse(answer.text)).title).toContain(reason);
    expect((await post('/v1/tokens', '{"ttlSeconds":60}')).status).toBe(200);
  });

  test.for([
    ['a body over 256 KiB', '/v1/tokens', 300_000, 413],
    [
      'an import of 1 MiB is read, and refused for what it says',
      '/v1/entries/import',
      1 << 20,
      400,
    ],
    ['an import over 64 MiB', '/v1/entries/import', (64 << 20) + 1, 413],
  ] as const)('%s', async ([, path, size, status]) => {
    // The length alone refuses it: a peer is not made to send what nobody will read.
    const raw = await exchange(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${size}\r\nConnection: close\r\n\r\n` +
        (status === 413 ? '' : `"${'x'.repeat(size - 2)}"`),
    );
    expect(raw).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(raw).toContain('application/problem+json');
  });

  test('one of another type', async () => {
    const answer = await post('/v1/tokens', 'ttlSeconds=60', { 'content-type': 'text/x-form' });
    expect(answer.status).toBe(415);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });
});

describe('a head that is refused', () => {
  test.for([
    ['over 16 KiB', `GET /livez HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    [
      'over 16 KiB in many fields',
      `GET /livez HTTP/1.1\r\nHost: x\r\n${'X-Y: z\r\n'.repeat(4000)}\r\n`,
      431,
    ],
    ['that is not HTTP', 'SSH-2.0-x\r\n\r\n', 400],
    [
      'with two lengths',
      'POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
      400,
    ],
    [
      'with a length and chunks',
      'POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'whose path is long',
      `GET /v1/entries/${'x'.repeat(10_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      414,
    ],
  ] as const)('%s', async ([, text, status]) => {
    const raw = await exchange(text);
    expect(raw).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(raw).toContain('application/problem+json');
    expect(raw.length).toBeLessThan(1000);
    await expectAlive();
  });
});

describe.concurrent('a peer that is slow', () => {
  test('to send its head gets 408', async () => {
    const raw = await drip('GET /livez HTTP/1.1\r\nHost: x\r\nX: ');
    expect(raw).toMatch(/^HTTP\/1.1 408 /);
    expect(raw).toContain('application/problem+json');
  });

  test('to send its body gets 408', async () => {
    const raw = await drip(
      'POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"',
    );
    expect(raw).toMatch(/^HTTP\/1.1 408 /);
  });

  test('and a hundred of them do not keep others waiting', async () => {
    const slow = Array.from({ length: 100 }, () => connect(mesh.ca.adminSocket));
    for (const socket of slow) socket.on('error', () => {}).write('GET / HTTP/1.1\r\nX: ');
    for (let round = 0; round < 10; round += 1) await expectAlive();
    await Promise.all(slow.map((socket) => closed(socket.resume())));
  });
});

test('calls that vanish in the middle harm nobody', async () => {
  for (let round = 0; round < 50; round += 1) {
    const socket = connect(mesh.ca.adminSocket);
    socket.on('error', () => {});
    socket.write('POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{"ttl');
    socket.destroy();
    await closed(socket);
  }
  await expectAlive();
});

/** Sends the text and reads to the end of the connection, or of one answer. */
function exchange(text: string): Promise<string> {
  const socket = connect(mesh.ca.adminSocket);
  socket.write(text);
  return read(socket);
}

/** Sends the text and then a byte every tenth of a second, for as long as the other side listens. */
async function drip(text: string): Promise<string> {
  const socket = connect(mesh.ca.adminSocket);
  socket.write(text);
  const timer = setInterval(() => socket.write('x'), 100);
  try {
    return await read(socket);
  } finally {
    clearInterval(timer);
  }
}

function read(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.on('data', (piece: string) => {
      text += piece;
      const [head = '', body] = text.split('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
      if (body !== undefined && body.length >= length) socket.destroy();
    });
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
