/** One field of an HTTP/2 message, judged once: RFC 9113 §8.2 and §8.3. */

import { isEvery, isFieldOctet, isTokenOctet, octet } from '../http1/octets.ts';

export interface Field {
  /** Lower case. Every character is one byte, as in the value. */
  readonly name: string;
  readonly value: string;
  readonly kind: FieldKind;
  readonly indexing: Indexing;
}

/** What a field means to the codec. A malformed one is kept until the whole list has been decoded. */
export const fieldKind = {
  ordinary: 0,
  malformed: 1,
  method: 2,
  scheme: 3,
  authority: 4,
  path: 5,
  protocol: 6,
  status: 7,
  contentLength: 8,
  host: 9,
  te: 10,
  cookie: 11,
  expect: 12,
  trailer: 13,
} as const;
export type FieldKind = (typeof fieldKind)[keyof typeof fieldKind];

/** How a field may be compressed (RFC 7541 §6.2). Who forwards it keeps to what the sender chose. */
export const indexing = { indexed: 0, without: 1, never: 2 } as const;
export type Indexing = (typeof indexing)[keyof typeof indexing];

export function makeField(name: string, value: string, how: Indexing = indexing.indexed): Field {
  return { name, value, kind: classify(name, value), indexing: how };
}

/** Fields with a name of the static or dynamic table: the name has been judged, the value has not. */
export function makeFieldLike(like: Field, value: string, how: Indexing): Field {
  const { name, kind } = like;
  const isNew = kind === fieldKind.malformed || kind === fieldKind.te || !isFieldValue(value);
  return { name, value, kind: isNew ? classify(name, value) : kind, indexing: how };
}

function classify(name: string, value: string): FieldKind {
  const kind = knownKinds.get(name) ?? fieldKind.ordinary;
  if (!isFieldValue(value)) return fieldKind.malformed;
  // RFC 9113 §8.2.2: TE may be there, and say `trailers` and nothing else.
  if (kind === fieldKind.te) return value === 'trailers' ? kind : fieldKind.malformed;
  if (kind !== fieldKind.ordinary) return kind;
  return isLowerToken(name) ? kind : fieldKind.malformed;
}

/**
 * RFC 9113 §8.2.1 forbids NUL, CR and LF, and white space at either end. The other control characters,
 * which it leaves alone, are no part of a value in RFC 9110 §5.5 and could not be sent in HTTP/1.1.
 */
function isFieldValue(value: string): boolean {
  if (value.length === 0) return true;
  return (
    isEvery(isFieldOctet, value) &&
    !isBlank(value.charCodeAt(0)) &&
    !isBlank(value.charCodeAt(value.length - 1))
  );
}

/** RFC 9113 §8.2.1: a token in lower case. A colon at the front is left to the pseudo-fields known above. */
function isLowerToken(name: string): boolean {
  return name !== '' && isEvery(isLowerTokenOctet, name);
}

function isBlank(code: number): boolean {
  return code === octet.space || code === octet.tab;
}

const isLowerTokenOctet = isTokenOctet.map((isToken, code) =>
  code >= 0x41 && code <= 0x5a ? 0 : isToken,
);

const knownKinds: ReadonlyMap<string, FieldKind> = new Map<string, FieldKind>([
  [':method', fieldKind.method],
  [':scheme', fieldKind.scheme],
  [':authority', fieldKind.authority],
  [':path', fieldKind.path],
  [':protocol', fieldKind.protocol],
  [':status', fieldKind.status],
  ['content-length', fieldKind.contentLength],
  ['host', fieldKind.host],
  ['te', fieldKind.te],
  ['cookie', fieldKind.cookie],
  ['expect', fieldKind.expect],
  ['trailer', fieldKind.trailer],
  // RFC 9113 §8.2.2: what concerns one connection is said in frames.
  ['connection', fieldKind.malformed],
  ['keep-alive', fieldKind.malformed],
  ['proxy-connection', fieldKind.malformed],
  ['transfer-encoding', fieldKind.malformed],
  ['upgrade', fieldKind.malformed],
  // Gateway interfaces take these for the fields that HTTP/1.1 frames by.
  ['content_length', fieldKind.malformed],
  ['transfer_encoding', fieldKind.malformed],
]);
