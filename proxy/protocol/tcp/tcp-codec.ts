/** Plain TCP as a codec: bytes are what they are, and nothing in them is a request. */

import type { BindingCodec } from '../codec.ts';

export const tcpCodec = Object.freeze({
  name: 'tcp',
  alpn: undefined,
  // Anything may be TCP, so no byte tells it: the config names it, or falls back to it.
  match: () => 'no',
  poolMode: 'binding',
  decode: undefined,
  encode: undefined,
  heartbeat: undefined,
  localReply: undefined,
  requestId: undefined,
} as const satisfies BindingCodec);
