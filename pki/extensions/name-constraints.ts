/** Name spaces a CA is confined to (RFC 5280 §4.2.1.10). */

import { DerError } from '../der/der-error.ts';
import { type DerReader, readDer } from '../der/reader.ts';
import { decodeIa5 } from '../der/string.ts';
import { tag } from '../der/tag.ts';
import { checkName } from '../name.ts';
import { nameTag } from './subject-alt-name.ts';

/** One subtree. A kind we cannot compare is kept as `other`, so that names of it can be refused. */
export type NameSubtree =
  | { readonly kind: 'uri' | 'dns' | 'email'; readonly base: string }
  | { readonly kind: 'ip'; readonly base: Uint8Array; readonly mask: Uint8Array }
  | { readonly kind: 'directory'; readonly base: Uint8Array }
  | { readonly kind: 'other'; readonly tag: number };

export interface NameConstraints {
  readonly permitted: readonly NameSubtree[];
  readonly excluded: readonly NameSubtree[];
}

export function decodeNameConstraints(value: Uint8Array): NameConstraints {
  const constraints = readDer(value, (reader) =>
    reader.sequence((fields) => ({
      permitted: fields.optionalExplicit(0, readSubtrees) ?? [],
      excluded: fields.optionalExplicit(1, readSubtrees) ?? [],
    })),
  );
  // RFC 5280 §4.2.1.10: never an empty sequence.
  if (constraints.permitted.length + constraints.excluded.length === 0) {
    throw new DerError('der_size', 'name constraints constrain nothing');
  }
  return constraints;
}

function readSubtrees(reader: DerReader): NameSubtree[] {
  const subtrees = reader.each(subtreesMax, (item) => item.sequence(readSubtree));
  if (subtrees.length === 0) throw new DerError('der_size', 'a list of subtrees is empty');
  return subtrees;
}

function readSubtree(reader: DerReader): NameSubtree {
  // RFC 5280 §4.2.1.10: minimum is its default zero and maximum is absent, so nothing follows the base.
  const element = reader.element();
  switch (element.tag) {
    case nameTag.uri:
      return { kind: 'uri', base: decodeIa5(element.content) };
    case nameTag.dns:
      return { kind: 'dns', base: decodeIa5(element.content) };
    case nameTag.email:
      return { kind: 'email', base: decodeIa5(element.content) };
    case nameTag.ip:
      return ipSubtree(element.content);
    case nameTag.directory:
      return { kind: 'directory', base: readDirectoryBase(element.content) };
    default:
      return { kind: 'other', tag: element.tag };
  }
}

function readDirectoryBase(content: Uint8Array): Uint8Array {
  const base = readDer(content, (reader) => reader.whole(tag.sequence));
  checkName(base);
  return base;
}

function ipSubtree(content: Uint8Array): NameSubtree {
  if (content.length !== 8 && content.length !== 32) {
    throw new DerError('der_string', `an address range has ${content.length} bytes`);
  }
  const half = content.length / 2;
  return { kind: 'ip', base: content.subarray(0, half), mask: content.subarray(half) };
}

// Checked against every name of every certificate below, so the product has to stay small.
const subtreesMax = 256;
