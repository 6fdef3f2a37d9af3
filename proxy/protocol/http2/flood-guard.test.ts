/** What a peer may ask for beside its messages: as much as they carry, and no flood. */

import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { encodeFrame } from '../../../test/vectors/http2/transcript.ts';
import { errorCode, type Http2Fault } from './error-code.ts';
import { makeField } from './field.ts';
import { clientPreface, frameFlag, frameType } from './frame.ts';
import { HpackEncoder } from './hpack/hpack-encoder.ts';
import type { Http2Stream } from './http2-stream.ts';
import { defaultHttp2Limits } from './limits.ts';
import { Http2Session } from './session.ts';

const bound = { perSecond: 1, burst: 10 };
const bounds = { ...defaultHttp2Limits, idleFrames: bound, resets: bound, listSizeMax: 500 };
const message = Buffer.from('\0\0\0\0\0', 'latin1');
/** Many times the bound, at one point in time. */
const calls = 1000;

/** A session, and its peer as frames that are written by hand. */
class Spoken {
  readonly session: Http2Session;
  readonly streams: Http2Stream[] = [];
  fault: Http2Fault | undefined;
  readonly #encoder = new HpackEncoder();

  constructor(role: 'server' | 'client') {
    const nothing = (): void => {};
    this.session = new Http2Session(
      { role, clock: { monotonicMs: () => 0 }, limits: bounds },
      {
        onRequest: (stream) => {
          this.streams.push(stream);
          stream.sendHead([makeField(':status', '200')]);
        },
        onOversizedRequest: (stream) => void this.streams.push(stream),
        onOutput: nothing,
        onReady: nothing,
        onGoaway: nothing,
        onIdle: nothing,
        onFault: (fault) => {
          this.fault = fault;
        },
      },
    );
    this.session.start();
    if (role === 'server') this.session.receive(Buffer.from(clientPreface, 'latin1'));
    this.receive(frameType.settings, 0, Buffer.alloc(0));
  }

  receive(type: number, stream: number, payload: Buffer, flags = 0): void {
    this.session.receive(encodeFrame(type, flags, stream, payload));
    this.session.takeOutput();
  }

  head(stream: number, fields: Record<string, string>, flags = 0): void {
    const block = this.#encoder.encode(
      Object.entries(fields).map(([name, value]) => makeField(name, value)),
    );
    this.receive(frameType.headers, stream, Buffer.from(block), frameFlag.endHeaders | flags);
  }

  /** As grpc-go does after DATA of ours: it gives back the few bytes that it has read, and measures the line. */
  measure(): void {
    const increment = Buffer.alloc(4);
    increment.writeUInt32BE(message.length);
    this.receive(frameType.windowUpdate, 0, increment);
    this.receive(frameType.ping, 0, Buffer.alloc(8));
  }
}

const request = { ':method': 'POST', ':scheme': 'http', ':path': '/', ':authority': 'a.test' };

describe('a peer that measures the line after each message', () => {
  test('is served at a server, call by call', () => {
    const peer = new Spoken('server');
    for (let at = 0; at < calls; at += 1) {
      peer.head(2 * at + 1, request);
      peer.receive(frameType.data, 2 * at + 1, message, frameFlag.endStream);
      peer.streams[at]?.send(message);
      peer.streams[at]?.end([makeField('grpc-status', '0')]);
      peer.measure();
    }
    expect(peer.fault).toBeUndefined();
    expect(peer.streams).toHaveLength(calls);
  });

  test('is served at a client, call by call', () => {
    const peer = new Spoken('client');
    for (let at = 0; at < calls; at += 1) {
      const stream = peer.session.open();
      stream.sendHead(Object.entries(request).map(([name, value]) => makeField(name, value)));
      stream.send(message);
      peer.measure();
      peer.head(stream.id, { ':status': '200' }, frameFlag.endStream);
      stream.end();
    }
    expect(peer.fault).toBeUndefined();
  });

  test.for([
    ['by us', (peer: Spoken): void => void peer.streams[0]?.send(message)],
    ['by it', (peer: Spoken): void => peer.receive(frameType.data, 1, message)],
  ] as const)('is served on one stream of messages sent %s', ([, send]) => {
    const peer = new Spoken('server');
    peer.head(1, request);
    for (let at = 0; at < calls; at += 1) {
      send(peer);
      peer.measure();
    }
    expect(peer.fault).toBeUndefined();
  });

  test('has no more than the burst once nothing moves', () => {
    const peer = new Spoken('server');
    peer.head(1, request);
    for (let at = 0; at < calls; at += 1) peer.receive(frameType.data, 1, message);
    const pings = bound.burst;
    for (let at = 0; at < pings; at += 1) peer.receive(frameType.ping, 0, Buffer.alloc(8));
    expect(peer.fault).toBeUndefined();
    peer.receive(frameType.ping, 0, Buffer.alloc(8));
    expect(peer.fault?.code).toBe(errorCode.enhanceYourCalm);
  });

  test.for([
    ['SETTINGS', frameType.settings, 0, 0],
    ['empty DATA', frameType.data, 1, 0],
    ['PRIORITY', frameType.priority, 1, 5],
  ] as const)('is no excuse for %s at each byte of it', ([, type, stream, length]) => {
    const peer = new Spoken('server');
    peer.head(1, request);
    for (let at = 0; at < calls && peer.fault === undefined; at += 1) {
      peer.receive(frameType.data, 1, Buffer.alloc(1));
      peer.receive(type, stream, Buffer.alloc(length));
      if (at < bound.burst) expect(peer.fault).toBeUndefined();
    }
    expect(peer.fault?.code).toBe(errorCode.enhanceYourCalm);
  });

  test('is no excuse for a window in crumbs, though each lets DATA go', () => {
    const peer = new Spoken('server');
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing: what waits goes by what WINDOW_UPDATE says alone.
    peer.receive(frameType.settings, 0, Buffer.from('000400000000', 'hex'));
    peer.head(1, request);
    peer.streams[0]?.send(Buffer.alloc(100_000));
    const one = Buffer.from('00000001', 'hex');
    for (let at = 0; at < calls; at += 1) peer.receive(frameType.windowUpdate, 1, one);
    expect(peer.fault?.code).toBe(errorCode.enhanceYourCalm);
  });
});

test('heads larger than we take are answered one by one, and not for ever', () => {
  const peer = new Spoken('server');
  const large = { ...request, 'x-large': 'a'.repeat(bounds.listSizeMax) };
  for (let at = 0; at < bound.burst; at += 1) {
    peer.head(2 * at + 1, large, frameFlag.endStream);
  }
  expect(peer.streams).toHaveLength(bound.burst);
  expect(peer.fault).toBeUndefined();
  peer.head(2 * bound.burst + 1, large, frameFlag.endStream);
  expect(peer.fault?.code).toBe(errorCode.enhanceYourCalm);
});
