/** The fields a proxy adds, and those it takes away because only a proxy may state them. */

import type { SpiffeId } from '../../spiffe/index.ts';
import type {
  HeaderField,
  RequestHeadEdits,
  ResponseHeadEdits,
} from '../protocol/http1/head-edits.ts';
import type { Framing } from '../protocol/http1/message-framing.ts';
import type { RequestHead } from '../protocol/http1/request-head.ts';
import type { RequestIds } from './request-id.ts';

/** What is the same for every request of one connection. */
export interface ForwardedFields {
  readonly set: readonly HeaderField[];
  readonly remove: readonly string[];
}

/**
 * `peer` is the client as its certificate proved it; without one the field that would name it is taken
 * away, since a client could have written it itself.
 */
export function forwardedFields(peer: SpiffeId | undefined): ForwardedFields {
  if (peer === undefined) {
    return { set: [['x-forwarded-proto', 'http']], remove: [clientCertField] };
  }
  const set: HeaderField[] = [
    ['x-forwarded-proto', 'https'],
    [clientCertField, `URI=${peer}`],
  ];
  return { set, remove: [] };
}

/** The edits for one request, with an ID if it brought none. */
export function requestEdits(
  head: RequestHead,
  fields: ForwardedFields,
  ids: RequestIds,
): { readonly edits: RequestHeadEdits; readonly requestId: string | undefined } {
  const given = head.headers.get(requestIdField);
  if (given !== undefined) return { edits: fields, requestId: given };
  const requestId = ids.next();
  const { set, remove } = fields;
  return { edits: { set, remove, add: [[requestIdField, requestId]] }, requestId };
}

/** What a response's head says of our connection to the client and of the body on it. */
export function responseEdits(
  request: RequestHead,
  framing: Framing,
  keepsAlive: boolean,
): ResponseHeadEdits {
  if (!keepsAlive) return { framing, connection: 'close' };
  // A client of HTTP/1.0 takes silence for close.
  return request.minorVersion === 0 ? { framing, connection: 'keep-alive' } : { framing };
}

const clientCertField = 'x-forwarded-client-cert';
const requestIdField = 'x-request-id';
