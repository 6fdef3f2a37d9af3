/** What a proxy that ends still owes: clients that read slowly get what they were answered, within a bound. */

import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import {
  okResponse,
  ProxyMesh,
  scripted,
  type TestServer,
  until,
} from '../test/fakes/proxy-mesh.ts';
import { describeFrames, encodeFrame } from '../test/vectors/http2/transcript.ts';
import { makeField } from './protocol/http2/field.ts';
import { clientPreface, frameFlag, frameType } from './protocol/http2/frame.ts';
import { HpackEncoder } from './protocol/http2/hpack/hpack-encoder.ts';

// A Unix socket holds some 200 KiB of what nobody reads, on any machine, and so these leave the rest to the proxy;
// it is less than what makes it stop to ask for more.
const answers = 12;
const answer = `${'.'.repeat(32 * 1024)}whole`;

let mesh: ProxyMesh;
let app: TestServer;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  app = await mesh.server(scripted(() => okResponse(answer)));
});
afterAll(() => mesh.close());

/** A client of one protocol, as bytes. */
interface Speech {
  readonly protocol: 'http1' | 'http2';
  begin(socket: Socket): void;
  ask(socket: Socket, at: number): void;
  /** What it says when it is asked to go, without having read that. */
  leave(socket: Socket): void;
}

function http1(last: string): Speech {
  return {
    protocol: 'http1',
    begin() {},
    ask: (socket, at) => {
      const more = at === answers - 1 ? last : '';
      socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${more}\r\n`);
    },
    leave() {},
  };
}

const http2: Speech = {
  protocol: 'http2',
  begin(socket) {
    socket.write(clientPreface);
    // SETTINGS_INITIAL_WINDOW_SIZE, and the connection's own window: as large as may be.
    socket.write(encodeFrame(frameType.settings, 0, 0, Buffer.from('00047fffffff', 'hex')));
    socket.write(encodeFrame(frameType.windowUpdate, 0, 0, Buffer.from('7fff0000', 'hex')));
  },
  ask(socket, at) {
    const fields = { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'a' };
    const block = new HpackEncoder().encode(
      Object.entries(fields).map(([name, value]) => makeField(name, value)),
    );
    const flags = frameFlag.endHeaders | frameFlag.endStream;
    socket.write(encodeFrame(frameType.headers, flags, 2 * at + 1, Buffer.from(block)));
  },
  leave(socket) {
    socket.write(encodeFrame(frameType.ping, frameFlag.ack, 0, Buffer.from('graceful')));
  },
};

const speeches = [
  ['HTTP/1.1, kept open', http1('')],
  ['HTTP/1.1, at its last request', http1('Connection: close\r\n')],
  ['HTTP/2', http2],
] as const;

/** A client that was answered and has read nothing, and its proxy, which has begun to end. */
async function drained(speech: Speech, name: string): Promise<Drained> {
  const clock = new ManualClock(Date.now());
  const path = join(mesh.directory, `${name}.sock`);
  const sidecar = await mesh.sidecar(undefined, configOf(path, speech.protocol), clock);
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', () => {});
  socket.pause();
  speech.begin(socket);
  for (let at = 0; at < answers; at += 1) {
    speech.ask(socket, at);
    while (sidecar.log.length <= at) await clock.advance(100);
  }
  const drain: Drained = { clock, socket, hasClosed: false };
  void sidecar.proxy.close().then(() => {
    drain.hasClosed = true;
  });
  speech.leave(socket);
  return drain;
}

interface Drained {
  readonly clock: ManualClock;
  readonly socket: Socket;
  hasClosed: boolean;
}

function configOf(path: string, protocol: string): Record<string, unknown> {
  const routes = [{ prefix: '/', cluster: 'app' }];
  return {
    listeners: [{ name: 'in', address: `unix:${path}`, plaintext: true, protocol, routes }],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
    timeouts: { drain: '30s' },
  };
}

test.for(speeches)('a slow reader gets all that it was answered: %s', async ([name, speech]) => {
  const drain = await drained(speech, `slow-${name.length}`);
  const { clock, socket } = drain;
  await clock.advance(5000);
  expect(drain.hasClosed).toBe(false);
  const parts: Buffer[] = [];
  let isEnded = false;
  socket.on('data', (part: Buffer) => parts.push(part));
  socket.on('end', () => {
    isEnded = true;
  });
  socket.resume();
  await until(() => isEnded);
  const bytes = Buffer.concat(parts);
  expect(bytes.toString('latin1').split('whole')).toHaveLength(answers + 1);
  if (speech.protocol === 'http2') {
    const ends = describeFrames([bytes]).filter((frame) => /^DATA .* end$/.test(frame));
    expect(ends).toHaveLength(answers);
  }
  // It keeps its side open, and nobody waits for that.
  await clock.advance(500);
  await until(() => drain.hasClosed);
  socket.destroy();
});

test.for(speeches)('who takes nothing has no longer than the bound: %s', async ([name, speech]) => {
  const drain = await drained(speech, `still-${name.length}`);
  await drain.clock.advance(29_000);
  expect(drain.hasClosed).toBe(false);
  await drain.clock.advance(2000);
  await until(() => drain.hasClosed);
  drain.socket.destroy();
});
