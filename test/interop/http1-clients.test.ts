/**
 * HTTP/1.1 clients that nobody here wrote, through a pair of sidecars to a server that nobody here wrote,
 * while the certificates of both sidecars change: curl, undici (Node's `fetch` and `WebSocket`), `node:http`.
 */

import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findTool } from '../../bench/tool.ts';
import { eventually } from '../fakes/eventually.ts';
import { ProxyMesh } from '../fakes/proxy-mesh.ts';
import { type SidecarPair, whileRotating } from '../fakes/rotating-pair.ts';
import { echoWebSocket } from '../fakes/websocket-server.ts';
import { testWith } from './peers.ts';

let mesh: ProxyMesh;
let pair: SidecarPair;
/** What the server was asked, newest last. */
const seen: { readonly url: string; readonly headers: IncomingMessage['headers'] }[] = [];
let continues = 0;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  pair = await mesh.pair(await startApp(mesh), { timeouts: { drain: '100ms' } });
});
afterAll(() => mesh.close());

/** Answers the hash of what it was sent, in chunks and with a trailer; and echoes WebSocket messages. */
async function startApp({ scope }: ProxyMesh): Promise<number> {
  const server = createServer((request, response) => {
    const { url = '', headers } = request;
    seen.push({ url, headers });
    const hash = createHash('sha256');
    request.on('data', (bytes: Buffer) => hash.update(bytes));
    request.on('end', () => {
      const digest = hash.digest('hex');
      response.setHeader('trailer', 'x-sum');
      response.write(digest);
      response.addTrailers({ 'x-sum': digest, 'x-got': request.trailers['x-sent'] ?? '' });
      response.end();
    });
  });
  server.on('checkContinue', (request, response) => {
    continues += 1;
    if (request.url === '/refused') {
      response.writeHead(417, { 'content-length': '2' });
      response.end('no');
      return;
    }
    response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('upgrade', echoWebSocket);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.onClose(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

const payload = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
const digest = createHash('sha256').update(payload).digest('hex');

test('fetch of undici: many requests over kept connections, uploads of known and of unknown length', async () => {
  const { port } = pair;
  const rounds = await whileRotating(mesh, pair, async () => {
    const answers = await Promise.all([
      fetch(`http://127.0.0.1:${port}/known`, { method: 'POST', body: payload }),
      fetch(`http://127.0.0.1:${port}/unknown`, {
        method: 'POST',
        body: new Blob([payload]).stream(),
        duplex: 'half',
      }),
      fetch(`http://127.0.0.1:${port}/empty`),
    ]);
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    expect(texts.slice(0, 2)).toEqual([digest, digest]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  });
  expect(rounds).toBeGreaterThan(5);
  const framings = seen.map(({ url, headers }) => [url, headers['transfer-encoding']]);
  expect(framings).toContainEqual(['/unknown', 'chunked']);
  expect(framings).toContainEqual(['/known', undefined]);
});

test('WebSocket of undici: messages of every size, opened and closed at every certificate', async () => {
  const { port, web, orders } = pair;
  // One that outlives every change, and one of each round.
  const old = await openSocket(port);
  const rounds = await whileRotating(mesh, pair, async () => {
    const young = await openSocket(port);
    for (const size of [1, 125, 126, 70_000]) {
      const text = 'x'.repeat(size);
      expect(await echo(young, text)).toBe(text);
      expect(await echo(old, text)).toBe(text);
    }
    expect(await closeSocket(young)).toBe(1000);
  });
  expect(rounds).toBeGreaterThan(5);
  expect(await closeSocket(old)).toBe(1000);
  for (const [sidecar, name] of [
    [web, 'out'],
    [orders, 'in'],
  ] as const) {
    await eventually(async () => {
      const counters = (await sidecar.stats()).listeners[name];
      expect(counters).toMatchObject({ tunnelsOpened: rounds + 1, tunnelsActive: 0 });
    });
  }
});

function openSocket(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`);
  return new Promise((resolve, reject) => {
    socket.addEventListener('open', () => resolve(socket));
    socket.addEventListener('error', () => reject(new Error('the socket did not open')));
  });
}

function echo(socket: WebSocket, text: string): Promise<unknown> {
  const over = new AbortController();
  const { signal } = over;
  return new Promise<unknown>((resolve, reject) => {
    socket.addEventListener('message', ({ data }) => resolve(data), { signal });
    socket.addEventListener('close', ({ code }) => reject(new Error(`closed with ${code}`)), {
      signal,
    });
    socket.send(text);
  }).finally(() => over.abort());
}

/** The code with which the closing handshake ended. */
function closeSocket(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => {
    socket.addEventListener('close', ({ code }) => resolve(code));
    socket.close(1000);
  });
}

test('node:http: trailers go both ways', async () => {
  const { port } = pair;
  await whileRotating(mesh, pair, async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { trailer: 'x-sent', te: 'trailers' };
      const sent = httpRequest({ port, method: 'POST', path: '/trailers', headers }, resolve);
      sent.on('error', reject);
      sent.write(payload);
      sent.addTrailers({ 'x-sent': 'yes' });
      sent.end();
    });
    let text = '';
    for await (const bytes of response) text += String(bytes);
    expect(text).toBe(digest);
    expect(response.trailers).toEqual({ 'x-sum': digest, 'x-got': 'yes' });
  });
});

const curl = findTool('curl');
const remedy = 'apt-get install curl';

testWith(
  curl,
  'curl',
  'curl: one connection for many requests',
  async (program) => {
    const url = `http://127.0.0.1:${pair.port}/kept`;
    await whileRotating(mesh, pair, async () => {
      const format = '%{http_code} %{num_connects}\n';
      const { out } = await run(program, [
        '-s',
        '-w',
        format,
        '-o',
        '/dev/null',
        url,
        '-o',
        '/dev/null',
        url,
        '-o',
        '/dev/null',
        url,
      ]);
      expect(out).toBe('200 1\n200 0\n200 0\n');
    });
  },
  remedy,
);

testWith(
  curl,
  'curl',
  'curl: an upload in chunks, answered in chunks with a trailer',
  async (program) => {
    const file = join(mesh.directory, 'payload');
    writeFileSync(file, payload);
    const url = `http://127.0.0.1:${pair.port}/chunks`;
    await whileRotating(mesh, pair, async () => {
      const args = ['-s', '-S', '-i', '-T', '-', '-H', 'Expect:', url];
      const { out } = await run(program, args, payload);
      expect(out).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*transfer-encoding: chunked\r\n/i);
      expect(out).toContain(digest);
      expect(out).toContain(`x-sum: ${digest}`);
    });
    const chunks = seen.filter(({ url: path }) => path.startsWith('/chunks'));
    expect(chunks.at(-1)?.headers['transfer-encoding']).toBe('chunked');
  },
  remedy,
);

testWith(
  curl,
  'curl',
  'curl: 100-continue is waited for, given, and refused',
  async (program) => {
    const file = join(mesh.directory, 'expected');
    writeFileSync(file, payload);
    const ask = (path: string): Promise<{ out: string; errors: string }> =>
      run(program, [
        '-s',
        '-v',
        '-X',
        'POST',
        '-H',
        'Expect: 100-continue',
        // By itself curl would send the body after a second, with or without an answer.
        '--expect100-timeout',
        '100',
        '--data-binary',
        `@${file}`,
        `http://127.0.0.1:${pair.port}${path}`,
      ]);
    const before = continues;
    let asked = 0;
    await whileRotating(mesh, pair, async () => {
      const given = await ask('/expected');
      expect(given.out).toBe(digest);
      expect(given.errors).toContain('< HTTP/1.1 100 Continue');
      const refused = await ask('/refused');
      expect(refused.out).toBe('no');
      expect(refused.errors).toContain('< HTTP/1.1 417 ');
      asked += 2;
    });
    expect(continues - before).toBe(asked);
  },
  remedy,
);

/** Runs a program to its end, which must be a good one. */
async function run(
  program: string,
  args: readonly string[],
  input?: Buffer,
): Promise<{ readonly out: string; readonly errors: string }> {
  const child = spawn(program, [...args]);
  let out = '';
  let errors = '';
  child.stdout.on('data', (bytes) => {
    out += String(bytes);
  });
  child.stderr.on('data', (bytes) => {
    errors += String(bytes);
  });
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${errors}`);
  return { out, errors };
}
