/** Heads of gRPC-Web, whatever protocol brought them, as those of gRPC, and the other way. */

import { type Field, makeField } from '../http2/field.ts';
import { FieldList } from '../http2/field-list.ts';
import { type Http2RequestHead, readRequestHead } from '../http2/request-head.ts';
import { Http2ResponseHead } from '../http2/response-head.ts';
import type { RequestHead as Http1RequestHead } from '../http1/request-head.ts';
import type { ResponseHead as Http1ResponseHead } from '../http1/response-head.ts';
import { requestFields, responseFields } from '../translation/to-http2.ts';
import { grpcWebTypeOf, type GrpcWebCall } from './media-type.ts';

/** Undefined where HTTP/2 could not say it, as of a request without a host. `isWhole`: no body follows. */
export function grpcRequestHead(
  head: Http1RequestHead | Http2RequestHead,
  { grpcType }: GrpcWebCall,
  scheme: string,
  isWhole: boolean,
): Http2RequestHead | undefined {
  const fields = requestFields(head, {}, scheme).filter(({ name }) => !replaced.has(name));
  fields.push(makeField('content-type', grpcType), trailersAccepted);
  const made = readRequestHead(fields, isWhole, false);
  return 'scope' in made ? undefined : made;
}

export interface WebResponse {
  readonly head: Http2ResponseHead;
  /** What a response that is its head alone ("Trailers-Only") says at its end. */
  readonly trailers: FieldList | undefined;
}

/** Undefined where the response is none of gRPC: it stays what it is. */
export function grpcWebResponse(
  head: Http1ResponseHead | Http2ResponseHead,
  isText: boolean,
): WebResponse | undefined {
  const type = grpcWebTypeOf(head.headers.get('content-type'), isText);
  if (type === undefined || head.status !== 200) return undefined;
  const fields: Field[] = [];
  const statuses: Field[] = [];
  for (const field of responseFields(head)) {
    if (isStatusField(field.name)) statuses.push(field);
    // The body grows by a frame, so that a length would be wrong.
    else if (!replaced.has(field.name)) fields.push(field);
  }
  fields.push(makeField('content-type', type));
  return {
    head: new Http2ResponseHead(head.status, undefined, new FieldList(fields, 1), false),
    trailers: statuses.length === 0 ? undefined : new FieldList(statuses, 0),
  };
}

/** Whether a field of a head belongs to the end of a call. */
export function isStatusField(name: string): boolean {
  return statusNames.has(name);
}

// `accept` asks for gRPC-Web, which the server does not speak; `trailer` announces what becomes a frame.
const replaced: ReadonlySet<string> = new Set([
  'accept',
  'content-length',
  'content-type',
  'te',
  'trailer',
]);
const statusNames: ReadonlySet<string> = new Set([
  'grpc-status',
  'grpc-message',
  'grpc-status-details-bin',
]);
const trailersAccepted = Object.freeze(makeField('te', 'trailers'));
