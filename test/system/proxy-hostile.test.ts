/**
 * Peers that mean harm, or might as well: many of each kind at once against one process, whose memory stays bounded,
 * which serves others meanwhile, and which says for each kind what was wrong with it.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { get, okResponse, ProxyMesh, until } from '../fakes/proxy-mesh.ts';
import { type Attack, drip, flood, openMany, send, statsOf, withstand } from './hostile-peers.ts';
import { type ProxyProcess, startProxyProcess, writeProxyConfig } from './proxy-process.ts';

let mesh: ProxyMesh;
let proxy: ProxyProcess;

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  proxy = await startBefore(await startApp());
  // What a process takes once in its life is taken here.
  for (let count = 0; count < 500; count += 1) await get(proxy.port, '/good');
});
afterAll(() => mesh.close());

const bigBody = Buffer.alloc(32 * 1024 * 1024);

/** Answers by path, and as badly as the path says. */
async function startApp(): Promise<number> {
  const app = await mesh.server((socket) => {
    socket.on('data', (bytes) => {
      const path = /^[A-Z]+ (\/\w*)/.exec(bytes.toString('latin1'))?.[1];
      if (path === '/good') socket.write(okResponse('good'));
      if (path === '/deaf') socket.pause();
      if (path === '/upgrade') {
        socket.write('HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
      }
      if (path === '/big') {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bigBody.length}\r\n\r\n`);
        socket.write(bigBody);
      }
      if (path === '/half') {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
      }
    });
    socket.on('end', () => socket.end());
  });
  return app.port;
}

function startBefore(
  appPort: number,
  timeouts: Record<string, string> = {
    head: '1s',
    idle: '2s',
    // The server stands in this process, which has much to do meanwhile.
    response: '5s',
    tunnelIdle: '1s',
  },
  more: Record<string, unknown> = {},
): Promise<ProxyProcess> {
  const config = writeProxyConfig(mesh, `hostile-${appPort}.yaml`, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http1',
        routes: ['/good', '/deaf', '/upgrade', '/big', '/half', '/silent'].map((prefix) => ({
          prefix,
          cluster: 'app',
        })),
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${appPort}`] }],
    timeouts,
    ...more,
  });
  return startProxyProcess(mesh, config);
}

const host = 'Host: a\r\n';

const attacks: readonly Attack[] = [
  { name: 'connections that send nothing', counter: 'idleTimeouts', said: undefined, act() {} },
  {
    name: 'heads that stop',
    counter: 'headTimeouts',
    said: 'the head of the request came too slowly',
    act: send(`GET / HTTP/1.1\r\n${host}X: `),
  },
  {
    name: 'heads that drip',
    counter: 'headTimeouts',
    said: 'the head of the request came too slowly',
    act: drip(`GET / HTTP/1.1\r\n${host}X: `),
  },
  {
    name: 'bodies that stop',
    counter: 'bodyTimeouts',
    said: 'the body of the request came too slowly',
    act: send(`POST /silent HTTP/1.1\r\n${host}Content-Length: 1000\r\n\r\nabc`),
  },
  {
    name: 'one field without end',
    counter: 'headsTooLarge',
    said: 'field lines exceed 65536 bytes',
    act: flood(`GET / HTTP/1.1\r\n${host}X: `, 'x'.repeat(16_384)),
  },
  {
    name: 'fields without end',
    counter: 'headsTooLarge',
    said: 'more than 128 field lines',
    act: flood(`GET / HTTP/1.1\r\n${host}`, 'X: y\r\n'.repeat(100)),
  },
  {
    name: 'targets without end',
    counter: 'headsTooLarge',
    said: 'request line exceeds 8192 bytes',
    act: flood('GET /', 'x'.repeat(16_384)),
  },
  {
    name: 'bytes that are no HTTP',
    counter: 'requestsRefused',
    said: 'byte 0x00 in the method at offset 0',
    act: send('\0\0\0\0'),
  },
  {
    name: 'responses that nobody reads',
    counter: 'readTimeouts',
    said: 'the client does not read the response',
    act: (socket) => void socket.pause().write(`GET /big HTTP/1.1\r\n${host}\r\n`),
  },
  {
    name: 'tunnels through which nothing goes',
    counter: 'tunnelTimeouts',
    said: 'nothing went through the tunnel',
    act: send(`GET /upgrade HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`),
  },
  {
    name: 'servers that never answer',
    counter: 'responseTimeouts',
    said: 'timeout: the server did not answer in time',
    act: send(`GET /silent HTTP/1.1\r\n${host}\r\n`),
  },
  {
    name: 'servers that stop in the middle of an answer',
    counter: 'responseTimeouts',
    said: 'timeout: the server did not answer in time',
    act: send(`GET /half HTTP/1.1\r\n${host}\r\n`),
  },
  {
    name: 'servers that never read',
    counter: 'responseTimeouts',
    said: 'timeout: the server did not answer in time',
    act: (socket) => {
      socket
        .resume()
        .write(`PUT /deaf HTTP/1.1\r\n${host}Content-Length: ${bigBody.length}\r\n\r\n`);
      socket.write(bigBody);
    },
  },
];

describe('many at once', () => {
  test.for(attacks)('$name: $counter', (attack) =>
    withstand(
      mesh.scope,
      { proxy, listener: 'in', peers: 100, serve: () => serves(proxy) },
      attack,
    ),
  );

  test('ask on and on for answers of our own, and read none: readTimeouts', async () => {
    const without = await startBefore(
      await startApp(),
      { idle: '1s' },
      // A hundred thousand lines, and of those who were left all but the first.
      { accessLog: 'off', logLevel: 'debug' },
    );
    const target = {
      proxy: without,
      listener: 'in',
      // Each is answered some ten thousand times before its buffers are full.
      peers: 10,
      serve: () => serves(without),
      // What V8 keeps of a hundred thousand lines for a while; without a bound it would be a gigabyte in seconds.
      growthMiBMax: 300,
    };
    const ask = flood('', `GET /nowhere HTTP/1.1\r\n${host}\r\n`.repeat(1000));
    await withstand(mesh.scope, target, {
      name: 'unread',
      counter: 'readTimeouts',
      said: 'it does not read what it was answered',
      act: (socket) => {
        ask(socket);
        socket.pause();
      },
    });
    without.child.kill('SIGKILL');
  });
});

async function serves({ port }: ProxyProcess): Promise<void> {
  expect(await get(port, '/good')).toMatchObject({ status: 200, body: 'good' });
}

test('ten thousand idle connections cost little each, and others are served', async () => {
  const idle = await startBefore(await startApp(), { idle: '10m' });
  for (let count = 0; count < 200; count += 1) await get(idle.port, '/good');
  const before = await statsOf(idle, 'in');
  let answered = 0;
  await openMany(mesh.scope, idle.port, idleCount, (socket) => {
    // Each has been used once, as an idle connection of the world has.
    socket.once('data', () => {
      answered += 1;
    });
    socket.write(`GET /good HTTP/1.1\r\n${host}\r\n`);
  });
  await until(() => answered === idleCount);
  const after = await statsOf(idle, 'in');
  expect(after.counters['connectionsActive']).toBeGreaterThanOrEqual(idleCount);
  expect(await get(idle.port, '/good')).toMatchObject({ status: 200, body: 'good' });
  expect(((after.rssMiB - before.rssMiB) * 1024) / idleCount).toBeLessThan(idleKiBMax);
  idle.child.kill('SIGKILL');
});

const idleCount = 10_000;
// `npm run bench -- proxy` says what it is; this is where something is wrong.
const idleKiBMax = 40;
