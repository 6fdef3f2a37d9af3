/** Object identifiers between dotted text and their content octets (X.690 §8.19). */

import { DerError } from './der-error.ts';

export function decodeObjectIdentifier(content: Uint8Array): string {
  checkObjectIdentifier(content);
  let dotted = '';
  let start = 0;
  for (let index = 0; index < content.length; index += 1) {
    if ((content[index] ?? 0) >= 0x80) continue;
    const arc = decodeArc(content, start, index + 1);
    dotted = start === 0 ? firstArcs(arc) : `${dotted}.${arc}`;
    start = index + 1;
  }
  return dotted;
}

/** Throws unless every arc is in its shortest form and ends (X.690 §8.19.2). */
export function checkObjectIdentifier(content: Uint8Array): void {
  if (content.length === 0 || content.length > octetsMax) {
    throw new DerError(
      'der_object_identifier',
      `an object identifier has ${content.length} octets`,
    );
  }
  let startsArc = true;
  for (const octet of content) {
    if (startsArc && octet === 0x80) {
      throw new DerError('der_object_identifier', 'an arc is not in its shortest form');
    }
    startsArc = octet < 0x80;
  }
  if (!startsArc) throw new DerError('der_object_identifier', 'the last arc has no end');
}

/** The content octets of dotted text such as `2.5.29.17`. */
export function encodeObjectIdentifierContent(dotted: string): Uint8Array {
  const arcs = /^[012](\.(0|[1-9][0-9]*))+$/.test(dotted) ? dotted.split('.').map(BigInt) : [];
  const [first, second, ...rest] = arcs;
  if (first === undefined || second === undefined || (first < 2n && second >= 40n)) {
    throw new DerError(
      'der_object_identifier',
      `${JSON.stringify(dotted)} is no object identifier`,
    );
  }
  return Uint8Array.from([first * 40n + second, ...rest].flatMap(encodeArc));
}

// The first two arcs share an octet group: 40 * first + second, where first is 0, 1 or 2.
function firstArcs(joined: number | bigint): string {
  const first = joined < 40 ? 0 : joined < 80 ? 1 : 2;
  return `${first}.${typeof joined === 'number' ? joined - 40 * first : joined - BigInt(40 * first)}`;
}

function decodeArc(content: Uint8Array, start: number, end: number): number | bigint {
  // Seven octets hold 49 bits, which a number keeps exactly; UUID arcs (2.25) need 128.
  if (end - start > 7) {
    return content
      .subarray(start, end)
      .reduce((value, octet) => value * 128n + BigInt(octet & 0x7f), 0n);
  }
  let value = 0;
  for (let index = start; index < end; index += 1) {
    value = value * 128 + ((content[index] ?? 0) & 0x7f);
  }
  return value;
}

function encodeArc(arc: bigint): number[] {
  const octets = [Number(arc & 0x7fn)];
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) octets.unshift(Number(rest & 0x7fn) | 0x80);
  return octets;
}

// The longest in use are near 30; the bound keeps the arithmetic on long arcs small.
const octetsMax = 64;
