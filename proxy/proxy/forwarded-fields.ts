/** The fields a proxy adds, and those it takes away because only a proxy may state them. */

import type { SpiffeId } from '../../spiffe/index.ts';
import type { HeaderField, HeadEdits } from '../protocol/http1/head-edits.ts';
import type { RequestHead } from '../stream/stream.ts';
import type { RequestIds } from './request-id.ts';

/** What is the same for every request of one connection. */
export interface ForwardedFields {
  readonly set: readonly HeaderField[];
  readonly remove: readonly string[];
  /** What the client spoke through, for protocols that say so in the head. */
  readonly scheme: 'http' | 'https';
}

/**
 * `peer` is the client as its certificate proved it; without one the field that would name it is taken
 * away, since a client could have written it itself.
 */
export function forwardedFields(peer: SpiffeId | undefined): ForwardedFields {
  if (peer === undefined) {
    return { set: [['x-forwarded-proto', 'http']], remove: [clientCertField], scheme: 'http' };
  }
  const set: HeaderField[] = [
    ['x-forwarded-proto', 'https'],
    [clientCertField, `URI=${peer}`],
  ];
  return { set, remove: [], scheme: 'https' };
}

/** The edits for one request, with an ID if it brought none. */
export function requestEdits(
  head: RequestHead,
  fields: ForwardedFields,
  ids: RequestIds,
): { readonly edits: HeadEdits; readonly requestId: string | undefined } {
  const given = head.headers.get(requestIdField);
  if (given !== undefined) return { edits: fields, requestId: given };
  const requestId = ids.next();
  const { set, remove } = fields;
  return { edits: { set, remove, add: [[requestIdField, requestId]] }, requestId };
}

const clientCertField = 'x-forwarded-client-cert';
const requestIdField = 'x-request-id';
