/** HTTP/2, and gRPC on it, as a codec: frames of a whole connection are read and written by one session. */

import { Buffer } from 'node:buffer';
import type { LocalAnswer, MultiplexCodec } from '../codec.ts';
import { makeField } from './field.ts';
import { matchHttp2 } from './http2-matcher.ts';
import type { Http2Stream } from './http2-stream.ts';
import type { Http2Session } from './session.ts';

export const http2Codec = Object.freeze({
  name: 'http2',
  alpn: 'h2',
  match: matchHttp2,
  poolMode: 'multiplex',
  decode: (session: Http2Session, bytes: Buffer): void => session.receive(bytes),
  encode: (session: Http2Session): readonly Buffer[] => session.takeOutput(),
  // RFC 9113 §6.7: PING, which the session of the other side answers by itself.
  heartbeat: { probe: (session: Http2Session): void => session.probe() },
  localReply,
  // §5.1.1: chosen by the client, never used twice.
  requestId: (stream: Http2Stream): number => stream.id,
} as const satisfies MultiplexCodec<Http2Session, Http2Stream>);

function localReply(stream: Http2Stream, answer: LocalAnswer, omitsBody: boolean): void {
  const { status, fields, body } = answer;
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
  const list = [makeField(':status', String(status))];
  for (const [name, value] of fields) list.push(makeField(name.toLowerCase(), value));
  if (bytes.length > 0) list.push(makeField('content-length', String(bytes.length)));
  stream.sendHead(list);
  if (!omitsBody) stream.send(bytes);
  stream.end([]);
}
