/**
 * Peers that mean harm, or might as well: many of each kind at once against one process, whose memory stays bounded,
 * which serves others meanwhile, and which says for each kind what was wrong with it.
 */

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../fakes/eventually.ts';
import { get, okResponse, ProxyMesh, type StatsJson, until } from '../fakes/proxy-mesh.ts';
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
): Promise<ProxyProcess> {
  const config = writeProxyConfig(mesh, `hostile-${appPort}.yaml`, {
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${appPort}`] }],
    timeouts,
  });
  return startProxyProcess(mesh, config);
}

interface Stats {
  readonly counters: Record<string, number>;
  readonly rssMiB: number;
}

async function statsOf({ adminPort }: ProxyProcess): Promise<Stats> {
  const stats = JSON.parse((await get(adminPort, '/stats')).body) as StatsJson & {
    readonly memory: { readonly rssBytes: number };
  };
  return {
    counters: stats.listeners['in'] ?? {},
    rssMiB: stats.memory.rssBytes / 1024 / 1024,
  };
}

/** Opens many connections, each of which `act` makes hostile. */
async function openMany(
  port: number,
  count: number,
  act: (socket: Socket) => void,
): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  for (let at = 0; at < count; at += 1) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    // What comes back is not wanted, and its end is the end.
    socket.on('end', () => socket.end());
    mesh.scope.onClose(() => void socket.destroy());
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    act(socket);
    sockets.push(socket);
  }
  return sockets;
}

interface Attack {
  readonly name: string;
  /** The counter that says so, once for each connection. */
  readonly counter: string;
  /** What the access log says, once for each connection; undefined where there was no request. */
  readonly fault: string | undefined;
  readonly act: (socket: Socket) => void;
}

const host = 'Host: a\r\n';

function send(text: string): (socket: Socket) => void {
  return (socket) => void socket.resume().write(text);
}

/** Writes the piece again and again, as long as it is taken. */
function flood(start: string, piece: string): (socket: Socket) => void {
  return (socket) => {
    socket.resume().write(start);
    const more = (): void => {
      while (socket.writable && socket.write(piece));
    };
    socket.on('drain', more);
    more();
  };
}

function drip(start: string): (socket: Socket) => void {
  return (socket) => {
    socket.resume().write(start);
    const beat = setInterval(() => void socket.write('x'), 100);
    socket.once('close', () => clearInterval(beat));
    socket.once('end', () => clearInterval(beat));
  };
}

const attacks: readonly Attack[] = [
  { name: 'connections that send nothing', counter: 'idleTimeouts', fault: undefined, act() {} },
  {
    name: 'heads that stop',
    counter: 'headTimeouts',
    fault: 'the head of the request came too slowly',
    act: send(`GET / HTTP/1.1\r\n${host}X: `),
  },
  {
    name: 'heads that drip',
    counter: 'headTimeouts',
    fault: 'the head of the request came too slowly',
    act: drip(`GET / HTTP/1.1\r\n${host}X: `),
  },
  {
    name: 'bodies that stop',
    counter: 'bodyTimeouts',
    fault: 'the body of the request came too slowly',
    act: send(`POST /silent HTTP/1.1\r\n${host}Content-Length: 1000\r\n\r\nabc`),
  },
  {
    name: 'one field without end',
    counter: 'headsTooLarge',
    fault: 'field lines exceed 65536 bytes',
    act: flood(`GET / HTTP/1.1\r\n${host}X: `, 'x'.repeat(16_384)),
  },
  {
    name: 'fields without end',
    counter: 'headsTooLarge',
    fault: 'more than 128 field lines',
    act: flood(`GET / HTTP/1.1\r\n${host}`, 'X: y\r\n'.repeat(100)),
  },
  {
    name: 'targets without end',
    counter: 'headsTooLarge',
    fault: 'request line exceeds 8192 bytes',
    act: flood('GET /', 'x'.repeat(16_384)),
  },
  {
    name: 'bytes that are no HTTP',
    counter: 'requestsRefused',
    fault: 'byte 0x00 in the method at offset 0',
    act: send('\0\0\0\0'),
  },
  {
    name: 'responses that nobody reads',
    counter: 'readTimeouts',
    fault: 'the client does not read the response',
    act: (socket) => void socket.pause().write(`GET /big HTTP/1.1\r\n${host}\r\n`),
  },
  {
    name: 'tunnels through which nothing goes',
    counter: 'tunnelTimeouts',
    fault: 'nothing went through the tunnel',
    act: send(`GET /upgrade HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`),
  },
  {
    name: 'servers that never answer',
    counter: 'responseTimeouts',
    fault: 'timeout: the server did not answer in time',
    act: send(`GET /silent HTTP/1.1\r\n${host}\r\n`),
  },
  {
    name: 'servers that stop in the middle of an answer',
    counter: 'responseTimeouts',
    fault: 'timeout: the server did not answer in time',
    act: send(`GET /half HTTP/1.1\r\n${host}\r\n`),
  },
  {
    name: 'servers that never read',
    counter: 'responseTimeouts',
    fault: 'timeout: the server did not answer in time',
    act: (socket) => {
      socket
        .resume()
        .write(`PUT /deaf HTTP/1.1\r\n${host}Content-Length: ${bigBody.length}\r\n\r\n`);
      socket.write(bigBody);
    },
  },
];

describe('many at once', () => {
  test.for(attacks)('$name: $counter', async ({ counter, fault, act }) => {
    const before = await statsOf(proxy);
    const faultsBefore = faults(fault);
    const sockets = await openMany(proxy.port, attackers, act);
    // Others are served as long as it lasts.
    let served = 0;
    const over = new AbortController();
    const { signal } = over;
    const serving = (async () => {
      while (!signal.aborted || served < 10) {
        expect(await get(proxy.port, '/good')).toMatchObject({ status: 200, body: 'good' });
        served += 1;
      }
    })();
    let mostMiB = before.rssMiB;
    // Whatever it finds, it is awaited below.
    serving.catch(() => {});
    await eventually(async () => {
      const now = await statsOf(proxy);
      mostMiB = Math.max(mostMiB, now.rssMiB);
      expect((now.counters[counter] ?? 0) - (before.counters[counter] ?? 0)).toBe(attackers);
    }, patienceMs);
    over.abort();
    await serving;
    if (fault !== undefined) {
      await eventually(() => expect(faults(fault) - faultsBefore).toBe(attackers), patienceMs);
    }
    for (const socket of sockets) socket.destroy();
    await eventually(async () => {
      const { counters } = await statsOf(proxy);
      // Ours that ask for the stats' sake are on the admin port.
      expect(counters['connectionsActive']).toBeLessThanOrEqual(2);
    }, patienceMs);
    expect(mostMiB - before.rssMiB).toBeLessThan(growthMiBMax);
  });
});

function faults(fault: string | undefined): number {
  return proxy.lines().filter((line) => line.includes(`"fault":"${fault}"`)).length;
}

test('ten thousand idle connections cost little each, and others are served', async () => {
  const idle = await startBefore(await startApp(), { idle: '10m' });
  for (let count = 0; count < 200; count += 1) await get(idle.port, '/good');
  const before = await statsOf(idle);
  let answered = 0;
  await openMany(idle.port, idleCount, (socket) => {
    // Each has been used once, as an idle connection of the world has.
    socket.once('data', () => {
      answered += 1;
    });
    socket.write(`GET /good HTTP/1.1\r\n${host}\r\n`);
  });
  await until(() => answered === idleCount);
  const after = await statsOf(idle);
  expect(after.counters['connectionsActive']).toBeGreaterThanOrEqual(idleCount);
  expect(await get(idle.port, '/good')).toMatchObject({ status: 200, body: 'good' });
  expect(((after.rssMiB - before.rssMiB) * 1024) / idleCount).toBeLessThan(idleKiBMax);
  idle.child.kill('SIGKILL');
});

const attackers = 100;
// The longest timeout is 5 s; the rest is for a machine that does other things too.
const patienceMs = 60_000;
// A hundred connections with all their buffers full, and what V8 keeps of it for a while.
const growthMiBMax = 120;
const idleCount = 10_000;
// `npm run bench -- proxy` says what it is; this is where something is wrong.
const idleKiBMax = 40;
