/** Messages as fields of HTTP/2, whatever protocol brought them (RFC 9113 §8). */

import type { Fields } from '../fields.ts';
import type { HeaderField, HeadEdits } from '../http1/head-edits.ts';
import { droppedNames } from '../http1/head-writer.ts';
import { fieldStride, type HeaderBlock, hopByHopMask } from '../http1/header-block.ts';
import { knownField } from '../http1/known-field.ts';
import type { RequestHead as Http1RequestHead } from '../http1/request-head.ts';
import type { ResponseHead as Http1ResponseHead } from '../http1/response-head.ts';
import { type Field, fieldKind, indexing, makeField } from '../http2/field.ts';
import { FieldList } from '../http2/field-list.ts';
import type { Http2RequestHead } from '../http2/request-head.ts';
import type { Http2ResponseHead } from '../http2/response-head.ts';
import { foldedName, isDroppedName } from './dropped-fields.ts';

/** Throws Http1EncodeError on a bad edit. */
export function requestFields(
  head: Http1RequestHead | Http2RequestHead,
  edits: HeadEdits,
  scheme: string,
): Field[] {
  const named = head.protocol === 'http1' ? head.connection.named : noNames;
  const dropped = droppedNames(edits, named);
  const fields: Field[] = [
    makeField(':method', head.method),
    makeField(':scheme', head.protocol === 'http2' ? head.scheme : scheme),
    pathField(head),
  ];
  const { host } = head;
  // RFC 9113 §8.3.1: nothing is made up where the client named no host.
  if (host !== undefined && host !== '') fields.push(makeField(':authority', host));
  if (head.protocol === 'http2') {
    copyFields(head.headers, dropped, fields);
  } else {
    copyLines(head.headers, dropped, requestDropMask, fields);
    if (acceptsTrailers(head.headers)) fields.push(trailersAccepted);
  }
  pushEdits(edits, fields);
  return fields;
}

export function responseFields(head: Http1ResponseHead | Http2ResponseHead): Field[] {
  const fields: Field[] = [makeField(':status', String(head.status))];
  if (head.protocol === 'http2') {
    copyFields(head.headers, noNames, fields);
  } else {
    const isChunked = head.framing.kind === 'chunked' || head.framing.kind === 'until_close';
    const dropsLength = isChunked || head.interim || head.status === 204;
    const mask = dropsLength ? hopByHopMask | (1 << knownField.contentLength) : hopByHopMask;
    copyLines(head.headers, head.connection.named, mask, fields);
  }
  return fields;
}

export function trailerFields(trailers: Fields): readonly Field[] {
  if (trailers instanceof FieldList) return trailers.all;
  return Array.from(trailers.entries(), ([name, value]) => fieldOf(name.toLowerCase(), value));
}

/** A gRPC path is one of a few, and any other path may be one of millions. */
function pathField(head: Http1RequestHead | Http2RequestHead): Field {
  if (head.protocol === 'http2') {
    for (const field of head.headers.all) if (field.kind === fieldKind.path) return field;
  }
  return makeField(':path', head.pathAndQuery, indexing.without);
}

function copyFields({ all, from }: FieldList, dropped: readonly string[], fields: Field[]): void {
  for (let at = from; at < all.length; at += 1) {
    const field = all[at];
    // The host has become `:authority`.
    if (field === undefined || field.kind === fieldKind.host) continue;
    if (dropped.length > 0 && isDroppedName(dropped, foldedName(field.name))) continue;
    fields.push(field);
  }
}

function copyLines(
  headers: HeaderBlock,
  dropped: readonly string[],
  mask: number,
  fields: Field[],
): void {
  let index = -fieldStride;
  for (const [name, value] of headers.entries()) {
    index += fieldStride;
    const known = headers.fields[index + 4] ?? 0;
    if (known !== 0 && (mask & (1 << known)) !== 0) continue;
    const lowerName = name.toLowerCase();
    // RFC 9113 §8.2.2: it says how to upgrade to what this is already.
    if (lowerName === 'http2-settings') continue;
    if (dropped.length > 0 && isDroppedName(dropped, foldedName(lowerName))) continue;
    fields.push(fieldOf(lowerName, value));
  }
}

function pushEdits({ set = [], add = [] }: HeadEdits, fields: Field[]): void {
  fields.push(...fieldsSet(set));
  // What is added to one request is seldom seen again.
  for (const [name, value] of add) {
    fields.push(makeField(name.toLowerCase(), value, indexing.without));
  }
}

/** What is set on a connection is the same for all its requests, and is judged once. */
function fieldsSet(set: readonly HeaderField[]): readonly Field[] {
  let made = setFields.get(set);
  if (made === undefined) {
    made = set.map(([name, value]) => makeField(name.toLowerCase(), value));
    setFields.set(set, made);
  }
  return made;
}

/** RFC 9110 §10.1.4: `trailers` is kept across hops, and is all that HTTP/2 lets TE say. */
function acceptsTrailers(headers: HeaderBlock): boolean {
  if (!headers.hasKnown(knownField.te)) return false;
  return /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(headers.get('te') ?? '');
}

/** RFC 7541 §7.1.3: what is secret is not put where an attacker could try out guesses at it. */
function fieldOf(lowerName: string, value: string): Field {
  if (secretNames.has(lowerName)) return makeField(lowerName, value, indexing.never);
  const isVaried = variedNames.has(lowerName) || value.length > indexedLengthMax;
  return makeField(lowerName, value, isVaried ? indexing.without : indexing.indexed);
}

const setFields = new WeakMap<readonly HeaderField[], readonly Field[]>();
const noNames: readonly string[] = [];
const requestDropMask = hopByHopMask | (1 << knownField.host);
const trailersAccepted = Object.freeze(makeField('te', 'trailers'));
const secretNames: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'set-cookie',
]);
// Their values are hardly ever the same twice, and would push out of the table what is.
const variedNames: ReadonlySet<string> = new Set([
  'age',
  'content-length',
  'content-range',
  'date',
  'etag',
  'if-modified-since',
  'if-none-match',
  'last-modified',
  'location',
  'traceparent',
  'x-request-id',
]);
const indexedLengthMax = 256;
