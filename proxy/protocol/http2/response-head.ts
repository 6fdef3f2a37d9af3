/** The head of an HTTP/2 response (RFC 9113 §8.3.2), and trailers, which are fields and nothing else. */

import { isForbiddenTrailer } from '../http1/trailer-fields.ts';
import { readContentLength } from './content-length.ts';
import { errorCode, type Http2Fault, streamFault } from './error-code.ts';
import { type Field, fieldKind } from './field.ts';
import { FieldList } from './field-list.ts';

export class Http2ResponseHead {
  readonly protocol = 'http2';
  readonly status: number;
  readonly contentLength: number | undefined;
  readonly headers: FieldList;
  /** Whether the stream ended with the head: no body, and no trailers. */
  readonly isWhole: boolean;

  constructor(status: number, length: number | undefined, headers: FieldList, isWhole: boolean) {
    this.status = status;
    this.contentLength = length;
    this.headers = headers;
    this.isWhole = isWhole;
  }

  get interim(): boolean {
    return this.status < 200;
  }
}

export function readResponseHead(
  fields: readonly Field[],
  isWhole: boolean,
): Http2ResponseHead | Http2Fault {
  const [first] = fields;
  if (first?.kind !== fieldKind.status) return malformed('a response without :status');
  // RFC 9110 §15, and RFC 9113 §8.6: 101 does not exist in HTTP/2.
  if (!/^[1-5]\d\d$/.test(first.value) || first.value === '101') {
    return malformed(':status is no status');
  }
  const status = Number(first.value);
  const contentLength = readFields(fields, 1);
  if (contentLength !== undefined && typeof contentLength !== 'string') return contentLength;
  const length = readContentLength(contentLength);
  if (length !== undefined && typeof length !== 'number') return length;
  if (status < 200 && isWhole) return malformed('an interim response that ends the stream');
  return new Http2ResponseHead(status, length, new FieldList(fields, 1), isWhole);
}

/** RFC 9113 §8.1: trailers have no pseudo-fields. RFC 9110 §6.5.1: and nothing that a head is judged by. */
export function readTrailers(fields: readonly Field[]): FieldList | Http2Fault {
  for (const { kind, name } of fields) {
    const isPseudo = kind !== fieldKind.malformed && name.startsWith(':');
    if (isPseudo) return malformed('a pseudo-field among the trailers');
    if (kind === fieldKind.malformed) return malformed('a trailer that HTTP/2 does not allow');
    if (isForbiddenTrailer(name)) return malformed(`${name} among the trailers`);
  }
  return new FieldList(fields, 0);
}

/** The content-length, or what is wrong with the fields. */
function readFields(fields: readonly Field[], from: number): string | undefined | Http2Fault {
  let contentLength: string | undefined;
  for (let at = from; at < fields.length; at += 1) {
    const field = fields[at];
    if (field === undefined) break;
    if (field.kind === fieldKind.malformed) return malformed('a field that HTTP/2 does not allow');
    if (field.name.startsWith(':'))
      return malformed('a pseudo-field of no response, or behind a field');
    if (field.kind !== fieldKind.contentLength) continue;
    if (contentLength !== undefined) return malformed('content-length is there twice');
    contentLength = field.value;
  }
  return contentLength;
}

function malformed(detail: string): Http2Fault {
  return streamFault(errorCode.protocolError, detail);
}
