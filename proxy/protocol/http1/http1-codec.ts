/** HTTP/1.1 as a codec: decoders and encoders of its heads and bodies, and no ID or heartbeat (RFC 9112 §9.3). */

import type { PingPongCodec } from '../codec.ts';
import { encodeChunk, lastChunk } from './encode-chunk.ts';
import { encodeRequestHead, encodeResponseHead } from './encode-head.ts';
import { matchHttp1 } from './http1-matcher.ts';
import { encodeLocalReply } from './local-reply.ts';
import { RequestDecoder } from './request-decoder.ts';
import type { RequestHead } from './request-head.ts';
import { ResponseDecoder } from './response-decoder.ts';
import type { ResponseHead } from './response-head.ts';

export const http1Codec = Object.freeze({
  name: 'http1',
  alpn: 'http/1.1',
  match: matchHttp1,
  poolMode: 'ping_pong',
  decode: {
    requests: () => new RequestDecoder(),
    responses: () => new ResponseDecoder(),
  },
  encode: {
    requestHead: encodeRequestHead,
    responseHead: encodeResponseHead,
    body: encodeChunk,
    end: lastChunk,
  },
  // No message asks for nothing but an answer: every request is one to the application.
  heartbeat: undefined,
  localReply: encodeLocalReply,
  // Responses come in the order of their requests, and carry nothing else to know them by.
  requestId: undefined,
} as const satisfies PingPongCodec<RequestHead, ResponseHead>);
