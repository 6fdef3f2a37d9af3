/** A client's session and a server's, back to back, under whatever order of acts: against a model of what must arrive. */

import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runSession, type SessionVector } from '../../../test/vectors/http2/transcript.ts';
import { errorCode, type Http2Fault } from './error-code.ts';
import { makeField } from './field.ts';
import type { Http2Stream } from './http2-stream.ts';
import { defaultHttp2Limits } from './limits.ts';
import type { Http2RequestHead } from './request-head.ts';
import { Http2Session, type SessionEvents } from './session.ts';

// Small windows, so that every act meets a full one.
const limits = {
  ...defaultHttp2Limits,
  streamWindow: 5000,
  connectionWindow: 70_000,
  streamsMax: 4,
};

type Act =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'send';
      readonly stream: number;
      readonly bytes: number;
      readonly back: boolean;
    }
  | {
      readonly kind: 'end';
      readonly stream: number;
      readonly trailers: boolean;
      readonly back: boolean;
    }
  | { readonly kind: 'reset'; readonly stream: number; readonly back: boolean }
  | { readonly kind: 'pause' | 'resume'; readonly stream: number; readonly back: boolean }
  | { readonly kind: 'full' | 'drained'; readonly back: boolean }
  | { readonly kind: 'carry'; readonly bytes: number; readonly back: boolean };

const stream = fc.nat(7);
const back = fc.boolean();
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constant('open' as const) }),
  fc.record({ kind: fc.constant('send' as const), stream, bytes: fc.nat(20_000), back }),
  fc.record({ kind: fc.constant('end' as const), stream, trailers: fc.boolean(), back }),
  fc.record({ kind: fc.constant('reset' as const), stream, back }),
  fc.record({ kind: fc.constantFrom('pause' as const, 'resume' as const), stream, back }),
  fc.record({ kind: fc.constantFrom('full' as const, 'drained' as const), back }),
  fc.record({ kind: fc.constant('carry' as const), bytes: fc.nat(30_000), back }),
);

/** One direction of one stream, as it should be: what was sent, and what came. */
class Flow {
  sent = '';
  received = '';
  isEnded = false;
  hasEnd = false;
  isReset = false;
}

class Side implements SessionEvents {
  readonly session: Http2Session;
  readonly streams: Http2Stream[] = [];
  readonly out: Flow[] = [];
  readonly into: Flow[] = [];
  readonly wire: Buffer[] = [];
  fault: Http2Fault | undefined;

  constructor(role: 'client' | 'server') {
    this.session = new Http2Session({ role, clock: { monotonicMs: () => 0 }, limits }, this);
    this.session.start();
    this.collect();
  }

  collect(): void {
    this.wire.push(...this.session.takeOutput());
  }

  watch(next: Http2Stream, out: Flow, into: Flow): void {
    this.streams.push(next);
    this.out.push(out);
    this.into.push(into);
    next.consumer = {
      onHead() {},
      onData(bytes) {
        expect(into.hasEnd).toBe(false);
        into.received += bytes.toString('latin1');
      },
      onEnd() {
        expect(into.hasEnd).toBe(false);
        into.hasEnd = true;
      },
      onReset() {
        out.isReset = true;
        into.isReset = true;
      },
      onDrain() {},
    };
  }

  onRequest(next: Http2Stream, head: Http2RequestHead): void {
    const flows = flowsByPath.get(head.path);
    if (flows === undefined) throw new Error('a request that nobody sent');
    this.watch(next, flows.toClient, flows.toServer);
    next.sendHead([makeField(':status', '200')]);
  }

  onOversizedRequest(): void {}
  onOutput(): void {}
  onReady(): void {}
  onGoaway(): void {}
  onIdle(): void {}
  onFault(fault: Http2Fault): void {
    this.fault = fault;
  }
}

let flowsByPath = new Map<string, { toServer: Flow; toClient: Flow }>();

test('whatever the order of acts, what was sent arrives, once, in order, and nobody is at fault', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      flowsByPath = new Map();
      const client = new Side('client');
      const server = new Side('server');
      // Before the server's settings have come, the client may know only what everybody allows.
      carry(server, client, Number.POSITIVE_INFINITY);
      carry(client, server, Number.POSITIVE_INFINITY);
      for (const each of acts) perform(each, client, server);
      settle(client, server);
      expect([client.fault, server.fault]).toEqual([undefined, undefined]);
      for (const { toServer, toClient } of flowsByPath.values()) {
        for (const flow of [toServer, toClient]) check(flow);
      }
      // What has ended on both sides is forgotten on both.
      expect([client.session.openCount, server.session.openCount]).toEqual([0, 0]);
    }),
    { numRuns: 300 },
  );
});

function perform(each: Act, client: Side, server: Side): void {
  if (each.kind === 'open') {
    open(client);
    return;
  }
  const side = each.back ? server : client;
  const index = 'stream' in each ? each.stream : 0;
  const one = side.streams[index];
  const out = side.out[index];
  switch (each.kind) {
    case 'carry':
      carry(side, each.back ? client : server, each.bytes);
      break;
    case 'full':
    case 'drained':
      side.session.setSocketFull(each.kind === 'full');
      break;
    case 'pause':
      one?.pause();
      break;
    case 'resume':
      one?.resume();
      break;
    case 'send':
      if (one === undefined || out === undefined || !one.maySend) break;
      {
        const text = String.fromCharCode(97 + (out.sent.length % 26)).repeat(each.bytes);
        out.sent += text;
        one.send(Buffer.from(text, 'latin1'));
      }
      break;
    case 'end':
      if (one === undefined || out === undefined || !one.maySend) break;
      out.isEnded = true;
      one.end(each.trailers ? [makeField('x-sum', '1')] : []);
      break;
    case 'reset':
      if (one === undefined || out === undefined || one.isClosed) break;
      out.isReset = true;
      for (const flow of [side.out[index], side.into[index]])
        if (flow !== undefined) flow.isReset = true;
      one.reset(errorCode.cancel);
  }
  side.collect();
}

function open(client: Side): void {
  if (!client.session.mayOpen) return;
  const path = `/${flowsByPath.size}`;
  const flows = { toServer: new Flow(), toClient: new Flow() };
  flowsByPath.set(path, flows);
  const next = client.session.open();
  client.watch(next, flows.toServer, flows.toClient);
  next.sendHead(
    [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'a.test'],
    ].map(([name = '', value = '']) => makeField(name, value)),
  );
  client.collect();
}

/** Moves up to so many bytes from one to the other, cut wherever that is. */
function carry(from: Side, to: Side, bytesMax: number): void {
  let left = bytesMax;
  while (left > 0) {
    const first = from.wire.shift();
    if (first === undefined) return;
    const piece = first.subarray(0, left);
    if (piece.length < first.length) from.wire.unshift(first.subarray(piece.length));
    left -= piece.length;
    to.session.receive(Buffer.from(piece));
    to.collect();
  }
}

/** Everybody reads, ends, and is heard. */
function settle(client: Side, server: Side): void {
  const exchange = (): void => {
    while (client.wire.length + server.wire.length > 0) {
      carry(client, server, Number.POSITIVE_INFINITY);
      carry(server, client, Number.POSITIVE_INFINITY);
    }
  };
  for (let round = 0; round < 2; round += 1) {
    for (const side of [client, server]) {
      side.session.setSocketFull(false);
      side.streams.forEach((one, index) => {
        one.resume();
        const out = side.out[index];
        if (out !== undefined && one.maySend) out.isEnded = true;
        one.end();
      });
      side.collect();
    }
    exchange();
  }
}

function check(flow: Flow): void {
  expect(flow.sent.startsWith(flow.received)).toBe(true);
  if (flow.isReset) return;
  expect(flow.received).toHaveLength(flow.sent.length);
  expect(flow.hasEnd).toBe(flow.isEnded);
}

const seeds = (
  JSON.parse(
    readFileSync(new URL('../../../test/vectors/http2/sessions.json', import.meta.url), 'utf8'),
  ) as readonly SessionVector[]
).filter(({ preface }) => preface !== false);

test('damaged frames never throw, and mean the same however they are cut', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.nat(2000),
      fc.uint8Array({ maxLength: 6 }),
      fc.integer({ min: 1, max: 40 }),
      (vector, at, insert, size) => {
        const damage = (bytes: Buffer): Buffer => {
          const from = at % (bytes.length + 1);
          return Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + 2)]);
        };
        const whole = runSession(vector, (bytes) => [damage(bytes)]);
        const inPieces = runSession(vector, (bytes) => split(damage(bytes), size));
        expect(inPieces).toEqual(whole);
      },
    ),
    { numRuns: 500 },
  );
});

function split(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}
