/** The id of a call: the caller's own if it is sane, else one of ours. It is in the answer, the log and the audit record. */

import type { IncomingMessage } from 'node:http';
import { type Random, toHex } from '../../core/index.ts';

export function requestIdOf(request: Pick<IncomingMessage, 'headers'>, random: Random): string {
  const given = request.headers['x-request-id'];
  if (typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given)) return given;
  return toHex(random.bytes(idBytes));
}

// Enough that two calls of a log never share one.
const idBytes = 12;
