import { Buffer } from 'node:buffer';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../core/index.ts';
import { lacks } from '../../../test/programs.ts';
import { type Inspection, TlsInspector } from './tls-inspector.ts';

interface Vector {
  readonly name: string;
  readonly origin: string;
  /** Hexadecimal. */
  readonly input: string;
  readonly expected: Record<string, unknown>;
}

function inspect(chunks: readonly Buffer[]): Inspection {
  const inspector = new TlsInspector();
  let answer = inspector.push(Buffer.alloc(0));
  for (const chunk of chunks) {
    answer = inspector.push(chunk);
    if (answer.kind !== 'need_more') break;
  }
  return answer;
}

describe('vectors', () => {
  test.for(vectors())('$name ($origin)', ({ input, expected }) => {
    const bytes = Buffer.from(input, 'hex');
    const whole = inspect([bytes]);
    expect(whole).toEqual(expected['kind'] === 'client_hello' ? withName(expected) : expected);
    expect(inspect(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(whole);
    for (let at = 1; at < bytes.length; at += 1) {
      expect(inspect([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole);
    }
  });
});

test('whatever is changed in a hello, the answer is one of the four and nothing is thrown', () => {
  const random = seededRandom(7);
  const seeds = vectors().map(({ input }) => Buffer.from(input, 'hex'));
  for (let round = 0; round < 20_000; round += 1) {
    const seed = seeds[round % seeds.length];
    if (seed === undefined || seed.length === 0) continue;
    const bytes = Buffer.from(seed);
    for (const [at = 0, value = 0] of [random.bytes(2), random.bytes(2)]) {
      bytes[(at * 7) % bytes.length] = value;
    }
    expect(['need_more', 'client_hello', 'not_tls', 'bad']).toContain(inspect([bytes]).kind);
  }
});

test('a hello that comes in ever more records is given up', () => {
  const record = Buffer.from('160301000101', 'hex');
  const first = Buffer.from('160301000401003fff', 'hex');
  const inspector = new TlsInspector();
  let answer = inspector.push(first);
  let records = 1;
  while (answer.kind === 'need_more' && records < 2000) {
    answer = inspector.push(record);
    records += 1;
  }
  expect(answer).toEqual({ kind: 'bad', detail: 'it takes more than 1024 records' });
});

describe('hellos of others', () => {
  test('of Node.js, with a server name and protocols', async () => {
    const hello = await firstBytes((port) => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        servername: 'orders.mesh.test',
        ALPNProtocols: ['h2', 'http/1.1'],
      });
      socket.on('error', () => {});
      return () => socket.destroy();
    });
    expect(inspect([hello])).toEqual({
      kind: 'client_hello',
      hello: {
        serverName: 'orders.mesh.test',
        protocols: ['h2', 'http/1.1'],
        versions: [0x0304, 0x0303],
      },
    });
  });

  test.skipIf(lacks('openssl'))('of openssl, of TLS 1.2 and without a server name', async () => {
    const hello = await firstBytes((port) => {
      const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', '-noservername'];
      const child = execFile('openssl', args, () => {});
      return () => child.kill();
    });
    expect(inspect([hello])).toEqual({
      kind: 'client_hello',
      hello: { serverName: undefined, protocols: [], versions: [0x0303] },
    });
  });
});

/** What a client sends to a server that never answers. */
async function firstBytes(start: (port: number) => () => void): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const got = new Promise<Buffer>((resolve) => {
    server.on('connection', (socket) => {
      const chunks: Buffer[] = [];
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (inspect(chunks).kind === 'need_more') return;
        resolve(Buffer.concat(chunks));
        socket.destroy();
      });
    });
  });
  const stop = start((server.address() as AddressInfo).port);
  const bytes = await got;
  stop();
  server.close();
  return bytes;
}

/** JSON knows no undefined: a hello without a name is written without the key. */
function withName(expected: Record<string, unknown>): Record<string, unknown> {
  const hello = expected['hello'] as Record<string, unknown>;
  return { ...expected, hello: { serverName: undefined, ...hello } };
}

function vectors(): readonly Vector[] {
  const url = new URL('../../../test/vectors/tls/client-hellos.json', import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as Vector[];
}
