/**
 * A protocol of frames that nobody speaks, as small as a multiplex codec can be: what a further RPC protocol
 * would bring. A frame is a magic octet, a type, an ID (4 octets), a length (4 octets) and a payload.
 */

import { Buffer } from 'node:buffer';
import type { LocalAnswer, MultiplexCodec } from '../../proxy/protocol/codec.ts';
import type { Match } from '../../proxy/protocol/detect/protocol-matcher.ts';

export const toyType = { request: 1, response: 2, ping: 3, pong: 4 } as const;

export interface ToyEvents {
  onCall(exchange: ToyExchange, payload: Buffer): void;
  onFault(detail: string): void;
}

/** One call of one connection, on either side. */
export interface ToyExchange {
  readonly session: ToySession;
  readonly id: number;
}

export class ToySession {
  readonly #events: ToyEvents;
  #bytes: Buffer = Buffer.alloc(0);
  #output: Buffer[] = [];
  #lastId = 0;

  constructor(events: ToyEvents) {
    this.#events = events;
  }

  open(): ToyExchange {
    this.#lastId += 1;
    return { session: this, id: this.#lastId };
  }

  receive(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= headBytes) {
      const end = headBytes + this.#bytes.readUInt32BE(6);
      if (this.#bytes[0] !== magic || end > frameBytesMax) {
        this.#events.onFault('no frame');
        return;
      }
      if (this.#bytes.length < end) return;
      const type = this.#bytes.readUInt8(1);
      const id = this.#bytes.readUInt32BE(2);
      const payload = this.#bytes.subarray(headBytes, end);
      this.#bytes = this.#bytes.subarray(end);
      if (type === toyType.ping) this.send(toyType.pong, id, '');
      else if (type !== toyType.pong) this.#events.onCall({ session: this, id }, payload);
    }
  }

  send(type: number, id: number, payload: Buffer | string): void {
    this.#output.push(toyFrame(type, id, Buffer.from(payload)));
  }

  takeOutput(): readonly Buffer[] {
    return this.#output.splice(0);
  }
}

export function toyFrame(type: number, id: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(magic, 0);
  head.writeUInt8(type, 1);
  head.writeUInt32BE(id, 2);
  head.writeUInt32BE(payload.length, 6);
  return Buffer.concat([head, payload]);
}

export const toyCodec = {
  name: 'toy',
  alpn: undefined,
  match: (bytes: Buffer): Match => {
    if (bytes[0] !== magic) return 'no';
    if (bytes.length < 2) return 'need_more';
    return (bytes[1] ?? 0) >= 1 && (bytes[1] ?? 0) <= 4 ? 'yes' : 'no';
  },
  poolMode: 'multiplex',
  decode: (session: ToySession, bytes: Buffer): void => session.receive(bytes),
  encode: (session: ToySession): readonly Buffer[] => session.takeOutput(),
  heartbeat: { probe: (session: ToySession): void => session.send(toyType.ping, 0, '') },
  localReply({ session, id }: ToyExchange, { status, body }: LocalAnswer): void {
    session.send(toyType.response, id, `${status} ${body.toString()}`);
  },
  requestId: ({ id }: ToyExchange): number => id,
} as const satisfies MultiplexCodec<ToySession, ToyExchange>;

const magic = 0xee;
const headBytes = 10;
const frameBytesMax = 64 * 1024;
