/** Clients of HTTP/2 that take too long: each is left in time, for a reason that a counter and the log name. */

import { Buffer } from 'node:buffer';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../test/fakes/eventually.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import {
  ProxyMesh,
  RawClient,
  type TestServer,
  type TestSidecar,
} from '../../test/fakes/proxy-mesh.ts';
import { describeFrames, encodeFrame } from '../../test/vectors/http2/transcript.ts';
import { makeField } from '../protocol/http2/field.ts';
import { clientPreface, frameFlag, frameType } from '../protocol/http2/frame.ts';
import { HpackEncoder } from '../protocol/http2/hpack/hpack-encoder.ts';

let mesh: ProxyMesh;
let app: TestServer;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  // Takes requests and answers none.
  app = await mesh.server((socket) => void socket.resume());
});
afterAll(() => mesh.close());

let clock: ManualClock;
let sidecar: TestSidecar;
beforeEach(async () => {
  clock = new ManualClock(Date.now());
  sidecar = await mesh.sidecar(
    undefined,
    {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'http2',
          routes: [{ prefix: '/app', cluster: 'app' }],
        },
      ],
      clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
      timeouts: { head: '10s', idle: '60s', response: '10m' },
    },
    clock,
  );
});

afterEach(async () => {
  const closing = sidecar.proxy.close();
  // Past the drain's bound, for those that a test leaves behind.
  await clock.advance(60_000);
  await closing;
});

/** Speaks in frames, and acknowledges nothing that it is not told to. */
class FrameClient extends RawClient {
  constructor(settings = '') {
    super(sidecar.port('in'));
    this.send(clientPreface);
    this.frame(frameType.settings, 0, Buffer.from(settings, 'hex'));
  }

  frame(type: number, stream: number, payload: Buffer, flags = 0): void {
    this.socket.write(encodeFrame(type, flags, stream, payload));
  }

  ask(stream: number, path: string, flags: number): void {
    const fields = { ':method': 'GET', ':scheme': 'http', ':path': path, ':authority': 'a.test' };
    const block = new HpackEncoder().encode(
      Object.entries(fields).map(([name, value]) => makeField(name, value)),
    );
    this.frame(frameType.headers, stream, Buffer.from(block), flags);
  }

  frames(): string[] {
    return describeFrames([Buffer.from(this.text, 'latin1')]);
  }
}

const { endHeaders, endStream } = frameFlag;

/** How a head that never ends goes on. */
interface Drips {
  begin(client: FrameClient): void;
  drip(client: FrameClient): void;
}

const inFrames: Drips = {
  begin: (client) => client.ask(3, '/app', endStream),
  drip: (client) => client.frame(frameType.continuation, 3, Buffer.alloc(0)),
};
const insideFrame: Drips = {
  begin: (client) => {
    const whole = encodeFrame(frameType.headers, endHeaders, 3, Buffer.alloc(1000));
    client.socket.write(whole.subarray(0, 9));
  },
  drip: (client) => void client.socket.write(Buffer.alloc(1)),
};

async function counters(): Promise<Record<string, number>> {
  return (await sidecar.stats()).listeners['in'] ?? {};
}

/** Once everything that was sent has been read: it is answered in its order. */
async function isHeard(client: FrameClient): Promise<void> {
  const before = pongs(client);
  client.frame(frameType.ping, 0, Buffer.alloc(8));
  await eventually(() => expect(pongs(client)).toBeGreaterThan(before));
}

function pongs(client: FrameClient): number {
  return client.frames().filter((frame) => frame.startsWith('PING ack')).length;
}

describe('a head that does not end', () => {
  test.for([
    ['in frames, alone on its connection', false, inFrames],
    ['in frames, beside a request that is being answered', true, inFrames],
    ['inside a frame, alone on its connection', false, insideFrame],
    ['inside a frame, beside a request that is being answered', true, insideFrame],
  ] as const)('%s, has the time of a head, however it drips', async ([, isBeside, drips]) => {
    const client = new FrameClient();
    if (isBeside) client.ask(1, '/app', endHeaders | endStream);
    await isHeard(client);
    drips.begin(client);
    for (let second = 0; second < 9; second += 1) {
      drips.drip(client);
      await clock.advance(1000);
    }
    expect(await counters()).toMatchObject({ headTimeouts: 0, connectionsActive: 1 });
    await clock.advance(2000);
    await client.readAll();
    expect(client.frames().at(-1)).toContain('ENHANCE_YOUR_CALM');
    expect(await counters()).toMatchObject({ headTimeouts: 1, idleTimeouts: 0 });
    client.close();
  });

  test('has a time of its own, though it begins in the bytes that end another', async () => {
    const client = new FrameClient();
    client.ask(1, '/app', endStream);
    await clock.advance(9000);
    client.socket.cork();
    client.frame(frameType.continuation, 1, Buffer.alloc(0), endHeaders);
    client.ask(3, '/app', endStream);
    client.socket.uncork();
    await clock.advance(9000);
    expect(await counters()).toMatchObject({ headTimeouts: 0, requests: 1 });
    await clock.advance(2000);
    await client.readAll();
    expect(await counters()).toMatchObject({ headTimeouts: 1 });
    client.close();
  });

  test('but does in time is a request like others, and the connection is idle after it', async () => {
    const client = new FrameClient();
    client.ask(1, '/none', endStream);
    await clock.advance(9000);
    client.frame(frameType.continuation, 1, Buffer.alloc(0), endHeaders);
    await eventually(() => expect(client.frames().at(-1)).toMatch(/^DATA 1 .* end$/));
    await clock.advance(30_000);
    expect(await counters()).toMatchObject({ headTimeouts: 0, responses4xx: 1, idleTimeouts: 0 });
    await clock.advance(31_000);
    await client.readAll();
    expect(await counters()).toMatchObject({ headTimeouts: 0, idleTimeouts: 1 });
    client.close();
  });
});

test('a body that drips inside its frame is no head', async () => {
  const client = new FrameClient();
  client.ask(1, '/app', endHeaders);
  client.socket.write(encodeFrame(frameType.data, 0, 1, Buffer.alloc(1000)).subarray(0, 20));
  for (let second = 0; second < 30; second += 1) {
    client.socket.write(Buffer.alloc(1));
    await clock.advance(1000);
  }
  expect(await counters()).toMatchObject({ headTimeouts: 0, requests: 1, connectionsActive: 1 });
  client.close();
});

test('a client that is asked whether it is there, and is not, is lost', async () => {
  const client = new FrameClient();
  client.ask(1, '/app', endHeaders | endStream);
  await isHeard(client);
  // The first is how long it was heard of, the second what it has for an answer.
  for (let step = 0; step < 3; step += 1) await clock.advance(61_000);
  await client.readAll();
  await eventually(async () =>
    expect(await counters()).toMatchObject({ peersLost: 1, clientAborts: 1, readTimeouts: 0 }),
  );
  await clock.advance(1000);
  expect(sidecar.log.at(-1)).toContain('"fault":"the client does not answer a PING"');
  client.close();
});

test('a client that answers is not, however long it waits', async () => {
  const client = new FrameClient();
  client.ask(1, '/app', endHeaders | endStream);
  await isHeard(client);
  for (let minute = 0; minute < 4; minute += 1) {
    await clock.advance(61_000);
    await isHeard(client);
  }
  expect(await counters()).toMatchObject({ peersLost: 0, clientAborts: 0, connectionsActive: 1 });
  client.close();
});

test('an answer of ours for which no window opens is given up, and counted', async () => {
  // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
  const client = new FrameClient('000400000000');
  client.ask(1, '/none', endHeaders | endStream);
  await isHeard(client);
  await clock.advance(61_000);
  await eventually(() => expect(client.frames()).toContain('RST_STREAM 1 CANCEL'));
  expect(await counters()).toMatchObject({ readTimeouts: 1, responses4xx: 1 });
  client.close();
});
