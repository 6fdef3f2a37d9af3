/** What a session did with some frames, written down so that a vector can be compared with it. */

import { Buffer } from 'node:buffer';
import {
  errorCode,
  formatErrorCode,
  type Http2Fault,
} from '../../../proxy/protocol/http2/error-code.ts';
import { makeField } from '../../../proxy/protocol/http2/field.ts';
import { clientPreface, frameFlag, frameType } from '../../../proxy/protocol/http2/frame.ts';
import { FrameDecoder } from '../../../proxy/protocol/http2/frame-decoder.ts';
import { HpackEncoder } from '../../../proxy/protocol/http2/hpack/hpack-encoder.ts';
import type { Http2Stream } from '../../../proxy/protocol/http2/http2-stream.ts';
import { defaultHttp2Limits, type Http2Limits } from '../../../proxy/protocol/http2/limits.ts';
import type { Http2RequestHead } from '../../../proxy/protocol/http2/request-head.ts';
import { Http2Session, type SessionEvents } from '../../../proxy/protocol/http2/session.ts';

type Pairs = readonly (readonly [string, string])[];

/** One frame, or raw bytes, or something that our side does. */
export type Step =
  | FrameStep
  | { readonly raw: string }
  | { readonly open: Pairs; readonly whole?: boolean }
  | { readonly answer: number; readonly body?: number }
  | { readonly act: 'shutdown' | 'close' };

export interface FrameStep {
  readonly frame: keyof typeof frameType | number;
  readonly stream?: number;
  readonly flags?: readonly (keyof typeof frameFlag)[];
  /** A header block of literals, or hexadecimal bytes. */
  readonly fields?: Pairs;
  readonly payload?: string;
  /** Bytes of anything, that many. */
  readonly bytes?: number;
  readonly times?: number;
}

export interface SessionVector {
  readonly name: string;
  readonly origin: string;
  readonly role: 'server' | 'client';
  readonly limits?: Partial<Http2Limits>;
  readonly extendedConnect?: boolean;
  /** False where the steps bring their own. */
  readonly preface?: boolean;
  readonly steps: readonly Step[];
}

export interface SessionTranscript {
  /** What the session told its owner. */
  readonly events: string[];
  /** The frames that it sent, less those of the beginning. */
  readonly output: string[];
}

/** Runs the steps behind a right beginning. `cut` says into which pieces what arrives is cut. */
export function runSession(
  vector: SessionVector,
  cut: (bytes: Buffer) => readonly Buffer[] = (bytes) => [bytes],
): SessionTranscript {
  const recorder = new Recorder();
  const session = new Http2Session(
    {
      role: vector.role,
      clock: { monotonicMs: () => 0 },
      limits: { ...defaultHttp2Limits, ...vector.limits },
      allowsExtendedConnect: vector.extendedConnect ?? false,
    },
    recorder,
  );
  recorder.session = session;
  session.start();
  const encoder = new HpackEncoder({ huffman: 'never', tableSizeMax: 0 });
  encoder.encode([]);
  const receive = (bytes: Buffer): void => {
    for (const piece of cut(bytes)) session.receive(piece);
  };
  const hasPreface = vector.role === 'server' && vector.preface !== false;
  if (hasPreface) receive(Buffer.from(clientPreface, 'latin1'));
  const isRaw = vector.steps[0] !== undefined && 'raw' in vector.steps[0];
  if (!isRaw) receive(encodeFrame(frameType.settings, 0, 0, Buffer.alloc(0)));
  session.takeOutput();
  const output: string[] = [];
  for (const step of vector.steps) {
    if ('raw' in step) receive(Buffer.from(step.raw, 'hex'));
    else if ('open' in step) recorder.open(step.open, step.whole ?? true);
    else if ('answer' in step) recorder.answer(step.answer, step.body ?? 0);
    else if ('act' in step) perform(session, step.act);
    else receive(encodeStep(step, encoder));
    output.push(...describeFrames(session.takeOutput()));
  }
  return { events: recorder.events, output };
}

/** What the peer of a server sends in a vector, from the preface on; what our side does between is left out. */
export function wireOf({ steps, preface }: Pick<SessionVector, 'steps' | 'preface'>): Buffer {
  const encoder = new HpackEncoder({ huffman: 'never', tableSizeMax: 0 });
  encoder.encode([]);
  const [first] = steps;
  const parts: Buffer[] = preface === false ? [] : [Buffer.from(clientPreface, 'latin1')];
  if (first !== undefined && !('raw' in first))
    parts.push(encodeFrame(frameType.settings, 0, 0, Buffer.alloc(0)));
  for (const step of steps) {
    if ('raw' in step) parts.push(Buffer.from(step.raw, 'hex'));
    else if ('frame' in step) parts.push(encodeStep(step, encoder));
  }
  return Buffer.concat(parts);
}

function perform(session: Http2Session, act: 'shutdown' | 'close'): void {
  if (act === 'shutdown') session.shutdown();
  else session.close(errorCode.noError, '');
}

class Recorder implements SessionEvents {
  readonly events: string[] = [];
  session: Http2Session | undefined;
  readonly #streams = new Map<number, Http2Stream>();

  open(pairs: Pairs, isWhole: boolean): void {
    const stream = this.session?.open();
    if (stream === undefined) return;
    this.#watch(stream);
    stream.isBodiless = pairs.some(([, value]) => value === 'HEAD');
    stream.sendHead(pairs.map(([name, value]) => makeField(name, value)));
    if (isWhole) stream.end();
  }

  answer(id: number, body: number): void {
    const stream = this.#streams.get(id);
    stream?.sendHead([makeField(':status', '200')]);
    if (body > 0) stream?.send(Buffer.alloc(body));
    stream?.end();
  }

  onRequest(stream: Http2Stream, head: Http2RequestHead): void {
    this.events.push(`request ${stream.id} ${head.method} ${head.authority} ${head.pathAndQuery}`);
    this.#watch(stream);
  }

  onOversizedRequest(stream: Http2Stream): void {
    this.events.push(`oversized ${stream.id}`);
  }

  onOutput(): void {}

  onReady(): void {}

  onGoaway(detail: string): void {
    this.events.push(`goaway: ${detail}`);
  }

  onIdle(): void {
    this.events.push('idle');
  }

  onFault(fault: Http2Fault): void {
    this.events.push(`fault ${formatErrorCode(fault.code)}`);
  }

  #watch(stream: Http2Stream): void {
    const { id } = stream;
    this.#streams.set(id, stream);
    stream.consumer = {
      onHead: (head) => this.events.push(`head ${id} ${head.status}`),
      onData: (bytes) => this.#onData(id, bytes.length),
      onEnd: (trailers) =>
        this.events.push(
          trailers === undefined
            ? `end ${id}`
            : `end ${id} ${Array.from(trailers.entries(), (pair) => pair.join('=')).join(' ')}`,
        ),
      onReset: ({ code, by }) =>
        this.events.push(
          `reset ${id} ${formatErrorCode(code)}${by === 'unprocessed' ? ' unprocessed' : ''}`,
        ),
      onDrain: () => this.events.push(`drain ${id}`),
    };
  }

  #onData(id: number, length: number): void {
    this.events.push(`data ${id} ${length}`);
  }
}

function encodeStep(step: FrameStep, encoder: HpackEncoder): Buffer {
  const type = typeof step.frame === 'number' ? step.frame : frameType[step.frame];
  const flags = (step.flags ?? []).reduce<number>((sum, name) => sum | frameFlag[name], 0);
  const times = step.times ?? 1;
  const frames: Buffer[] = [];
  for (let count = 0; count < times; count += 1) {
    const payload =
      step.fields === undefined
        ? Buffer.from(step.payload ?? '00'.repeat(step.bytes ?? 0), 'hex')
        : Buffer.from(encoder.encode(step.fields.map(([name, value]) => makeField(name, value))));
    frames.push(encodeFrame(type, flags, step.stream ?? 0, payload));
  }
  return Buffer.concat(frames);
}

export function encodeFrame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** What was sent, a frame a line. Heads and data by their length alone. */
export function describeFrames(parts: readonly Buffer[]): string[] {
  const decoder = new FrameDecoder();
  const lines: string[] = [];
  for (const part of parts) decoder.push(part);
  while (decoder.next() === 'frame') lines.push(describeFrame(decoder));
  return lines;
}

function describeFrame({ type, flags, streamId, payload }: FrameDecoder): string {
  const end = (flags & frameFlag.endStream) === 0 ? '' : ' end';
  switch (type) {
    case frameType.data:
      return `DATA ${streamId} ${payload.length}${end}`;
    case frameType.headers:
      return `HEADERS ${streamId}${end}`;
    case frameType.rstStream:
      return `RST_STREAM ${streamId} ${formatErrorCode(payload.readUInt32BE(0))}`;
    case frameType.settings:
      return `SETTINGS${(flags & frameFlag.ack) === 0 ? '' : ' ack'}`;
    case frameType.ping:
      return `PING${(flags & frameFlag.ack) === 0 ? '' : ' ack'} ${payload.toString('hex')}`;
    case frameType.goaway:
      return `GOAWAY ${payload.readUInt32BE(0)} ${formatErrorCode(payload.readUInt32BE(4))}`;
    case frameType.windowUpdate:
      return `WINDOW_UPDATE ${streamId} ${payload.readUInt32BE(0)}`;
    default:
      return `frame ${type} ${streamId}`;
  }
}
