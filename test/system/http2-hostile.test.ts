/** Clients of HTTP/2 that mean harm, against the sidecar as a process: its memory stays, others are served, the reason is told. */

import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeField } from '../../proxy/protocol/http2/field.ts';
import { clientPreface, frameFlag, frameType } from '../../proxy/protocol/http2/frame.ts';
import { HpackEncoder } from '../../proxy/protocol/http2/hpack/hpack-encoder.ts';
import { eventually } from '../fakes/eventually.ts';
import { ask, http2Client, http2Server } from '../fakes/http2-peers.ts';
import { get, ProxyMesh, type StatsJson } from '../fakes/proxy-mesh.ts';
import { describeFrames, encodeFrame } from '../vectors/http2/transcript.ts';
import { type ProxyProcess, startProxyProcess, writeProxyConfig } from './proxy-process.ts';

let mesh: ProxyMesh;
let proxy: ProxyProcess;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  const app = await http2Server(mesh.scope, (stream, headers) => {
    stream.on('error', () => {});
    stream.resume();
    stream.respond({ ':status': 200 });
    stream.end(headers[':path'] === '/big' ? big : 'ok');
  });
  proxy = await startProxyProcess(
    mesh,
    writeProxyConfig(mesh, 'proxy.yaml', {
      accessLog: 'off',
      // Of a kind only the first in a minute is a warning.
      logLevel: 'debug',
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'http2',
          routes: [{ prefix: '/', cluster: 'app' }],
        },
      ],
      clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`], protocol: 'http2' }],
      timeouts: { idle: '2s', drain: '100ms' },
    }),
  );
});
afterAll(() => mesh.close());

/** A client that speaks in frames and reads what it is told to. */
class FrameClient {
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  isClosed = false;

  constructor(settings = '') {
    this.socket = connect({ port: proxy.port, host: '127.0.0.1' });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    this.socket.on('data', (bytes: Buffer) => this.#parts.push(bytes));
    this.socket.write(clientPreface, 'latin1');
    this.send(encodeFrame(frameType.settings, 0, 0, Buffer.from(settings, 'hex')));
  }

  send(bytes: Buffer): boolean {
    return this.socket.write(bytes);
  }

  frames(): string[] {
    return describeFrames(this.#parts);
  }
}

function head(stream: number, method: string, path: string, flags: number): Buffer {
  const fields = [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'a.test'],
  ] as const;
  const encoder = new HpackEncoder({ tableSizeMax: 0 });
  encoder.encode([]);
  const block = encoder.encode(fields.map(([name, value]) => makeField(name, value)));
  return encodeFrame(frameType.headers, flags, stream, Buffer.from(block));
}

interface ProcessStats extends StatsJson {
  readonly memory: { readonly rssBytes: number };
}

async function stats(): Promise<ProcessStats> {
  return JSON.parse((await get(proxy.adminPort, '/stats')).body) as ProcessStats;
}

async function count(counter: string): Promise<number> {
  return (await stats()).listeners['in']?.[counter] ?? 0;
}

/** Fields of a few bytes that stand for more than we take: the first block puts a long one into the table. */
function bomb(isFirst: boolean): Buffer {
  const encoder = new HpackEncoder({ huffman: 'never' });
  const long = encoder.encode([makeField('x-bomb', 'a'.repeat(4000))]);
  const again = Buffer.alloc(bombFields, 0xbe);
  return isFirst ? Buffer.concat([long, again]) : again;
}

/** Whether an honest client is served now. */
async function serves(): Promise<void> {
  const client = http2Client(mesh.scope, proxy.port);
  expect(await ask(client, { ':path': '/' })).toMatchObject({ status: 200, body: 'ok' });
  client.close();
}

/** Runs `attack` on ten connections at once; the process must not grow by more than so much. */
async function attackTenfold(
  attack: (client: FrameClient) => void,
  settings = '',
): Promise<FrameClient[]> {
  await serves();
  const before = (await stats()).memory.rssBytes;
  const clients = Array.from({ length: 10 }, () => new FrameClient(settings));
  for (const client of clients) attack(client);
  await serves();
  const grown = (await stats()).memory.rssBytes - before;
  expect(grown).toBeLessThan(grownBytesMax);
  return clients;
}

const big = Buffer.alloc(1024 * 1024);
// More than the kernel's buffers of both ends hold.
const bigOnes = 10;
// Of 4,038 bytes each, by RFC 7541 §4.1.
const bombFields = 100;
const endHeaders = frameFlag.endHeaders;
const whole = frameFlag.endHeaders | frameFlag.endStream;
// What a garbage collector leaves lying about, not what an attack sends, which is many times as much.
const grownBytesMax = 150 * 1024 * 1024;

test.for([
  [
    'rapid reset',
    'too many streams are reset',
    (): Buffer[] => {
      const reset = Buffer.from('00000008', 'hex');
      return Array.from({ length: 2000 }, (_, at) =>
        Buffer.concat([
          head(2 * at + 1, 'GET', '/', endHeaders),
          encodeFrame(frameType.rstStream, 0, 2 * at + 1, reset),
        ]),
      );
    },
  ],
  [
    'a header block without end',
    'a header block without end',
    (): Buffer[] => [
      head(1, 'GET', '/', frameFlag.endStream),
      ...Array.from({ length: 10_000 }, () =>
        encodeFrame(frameType.continuation, 0, 1, Buffer.alloc(100)),
      ),
    ],
  ],
  [
    'a flood of PING',
    'too many frames that move nothing: PING',
    (): Buffer[] =>
      Array.from({ length: 20_000 }, () => encodeFrame(frameType.ping, 0, 0, Buffer.alloc(8))),
  ],
  [
    'a flood of SETTINGS',
    'too many frames that move nothing: SETTINGS',
    (): Buffer[] =>
      Array.from({ length: 20_000 }, () => encodeFrame(frameType.settings, 0, 0, Buffer.alloc(0))),
  ],
  [
    'a flood of empty DATA',
    'too many frames that move nothing: DATA without data',
    (): Buffer[] => [
      head(1, 'POST', '/', endHeaders),
      ...Array.from({ length: 20_000 }, () => encodeFrame(frameType.data, 0, 1, Buffer.alloc(0))),
    ],
  ],
  [
    'a flood of heads that are small here and large there',
    'too many heads are larger than we take',
    (): Buffer[] =>
      Array.from({ length: 2000 }, (_, at) =>
        encodeFrame(frameType.headers, whole, 2 * at + 1, bomb(at === 0)),
      ),
  ],
  [
    'a flood of PRIORITY',
    'too many frames that move nothing: PRIORITY',
    (): Buffer[] => {
      const priority = Buffer.from('0000000010', 'hex');
      return Array.from({ length: 20_000 }, () => encodeFrame(frameType.priority, 0, 1, priority));
    },
  ],
  [
    'a window that opens in crumbs',
    'too many frames that move nothing: WINDOW_UPDATE',
    (): Buffer[] => {
      const one = Buffer.from('00000001', 'hex');
      return Array.from({ length: 20_000 }, () => encodeFrame(frameType.windowUpdate, 0, 0, one));
    },
  ],
  [
    'resets that the client makes us send',
    'too many streams are reset',
    (): Buffer[] =>
      // A window opened by nothing is a fault of its stream alone (RFC 9113 §6.9).
      Array.from({ length: 2000 }, (_, at) =>
        Buffer.concat([
          head(2 * at + 1, 'POST', '/', endHeaders),
          encodeFrame(frameType.windowUpdate, 0, 2 * at + 1, Buffer.alloc(4)),
        ]),
      ),
  ],
] as const)('%s ends with ENHANCE_YOUR_CALM', async ([, reason, frames]) => {
  const before = await count('protocolErrors');
  const bytes = Buffer.concat(frames());
  const clients = await attackTenfold((client) => void client.send(bytes));
  await eventually(() => expect(clients.every(({ isClosed }) => isClosed)).toBe(true), 20_000);
  expect(await count('protocolErrors')).toBe(before + 10);
  expect(proxy.log()).toContain(reason);
  // Where the reset of our closing has not overtaken it, the client can read why.
  const goaways = clients.flatMap((client) =>
    client.frames().filter((frame) => frame.startsWith('GOAWAY')),
  );
  for (const goaway of goaways) expect(goaway).toContain('ENHANCE_YOUR_CALM');
});

test('a large block of small numbers is answered 431, and costs no memory', async () => {
  const before = await count('headsTooLarge');
  const clients = await attackTenfold((client) => {
    for (let at = 0; at < 20; at += 1) {
      client.send(encodeFrame(frameType.headers, whole, 2 * at + 1, bomb(at === 0)));
    }
  });
  await eventually(() =>
    expect(
      clients.every(
        (client) => client.frames().filter((frame) => frame.startsWith('HEADERS')).length === 20,
      ),
    ).toBe(true),
  );
  expect(await count('headsTooLarge')).toBe(before + 200);
  for (const client of clients) client.socket.destroy();
});

test('windows that never open hold neither memory nor the server for longer than they may', async () => {
  const before = await count('readTimeouts');
  const clients = await attackTenfold((client) => {
    for (let at = 0; at < 80; at += 1) client.send(head(2 * at + 1, 'GET', '/big', whole));
  }, '000400000000');
  // Eight hundred responses of 1 MiB were asked for; each stream is given up when its client has not read for so long.
  await eventually(() => {
    for (const client of clients) {
      const resets = client.frames().filter((frame) => frame.startsWith('RST_STREAM'));
      expect(resets.length).toBe(80);
    }
  }, 30_000);
  expect(await count('readTimeouts')).toBe(before + 800);
  await serves();
  for (const client of clients) client.socket.destroy();
});

test('a client that asks on and on and reads nothing is not read either, and is dropped', async () => {
  const before = await count('readTimeouts');
  const clients = await attackTenfold((client) => {
    client.socket.pause();
    // All windows are open, so that it is the socket that is full, and heads wait for nothing.
    client.send(encodeFrame(frameType.windowUpdate, 0, 0, Buffer.from('7fff0000', 'hex')));
    for (let at = 0; at < bigOnes; at += 1) client.send(head(2 * at + 1, 'GET', '/big', whole));
    const one = head(1, 'HEAD', '/../', whole);
    let at = bigOnes;
    const feed = (): void => {
      while (at < 20_000) {
        const next = Buffer.from(one);
        next.writeUInt32BE(2 * at + 1, 5);
        at += 1;
        if (client.send(next)) continue;
        client.socket.once('drain', feed);
        return;
      }
    };
    feed();
  }, '00047fffffff');
  await serves();
  // Those of the large answers of each that were not yet whole.
  await eventually(async () => {
    expect(await count('readTimeouts')).toBeGreaterThanOrEqual(before + 10);
    expect(await count('connectionsActive')).toBeLessThanOrEqual(1);
  }, 30_000);
  expect((await stats()).memory.rssBytes).toBeLessThan(500 * 1024 * 1024);
  for (const client of clients) client.socket.destroy();
});
