/** DER as a tree that can be made up, written and read back, for properties of the parsers. */

import { Buffer } from 'node:buffer';
import { fc } from '@fast-check/vitest';
import { type DerReader, encodeElement, encodeSet, readDer } from '../../pki/index.ts';

export type Tree =
  | { readonly tag: number; readonly content: Uint8Array }
  | { readonly tag: number; readonly children: readonly Tree[] };

/** Arbitrary trees of the types that certificates are made of. */
export function derTree(): fc.Arbitrary<Tree> {
  const leaf = fc.oneof(
    fc.constantFrom(0, 0xff).map((octet) => ({ tag: 1, content: Uint8Array.of(octet) })),
    fc
      .bigInt({ min: -(2n ** 40n), max: 2n ** 170n })
      .map((value) => ({ tag: 2, content: twosComplement(value) })),
    fc.uint8Array({ maxLength: 300 }).map((content) => ({ tag: 4, content })),
    fc
      .uint8Array({ maxLength: 40 })
      .map((content) => ({ tag: 3, content: Uint8Array.of(0, ...content) })),
    fc.constant({ tag: 5, content: new Uint8Array() }),
    fc
      .string({ unit: 'grapheme', maxLength: 20 })
      .map((text) => ({ tag: 12, content: new TextEncoder().encode(text) })),
    fc.uint8Array({ maxLength: 8 }).map((content) => ({ tag: 0x86, content })),
  );
  return fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.record({
        tag: fc.constantFrom(0x30, 0x31, 0xa0, 0xa3),
        children: fc.array(tie('tree'), { maxLength: 4 }),
      }),
    ),
  })).tree;
}

export function encodeTree(tree: Tree): Uint8Array {
  if ('content' in tree) return encodeElement(tree.tag, tree.content);
  const children = tree.children.map(encodeTree);
  return tree.tag === 0x31 ? encodeSet(...children) : encodeElement(tree.tag, ...children);
}

/** What {@link encodeTree} wrote, or any other DER. */
export function readTree(bytes: Uint8Array): Tree {
  const node = (reader: DerReader): Tree => {
    const identifier = reader.peekTag() ?? 0;
    if ((identifier & 0x20) === 0) return reader.element();
    return {
      tag: identifier,
      children: reader.constructed(identifier, (inner) => inner.each(1000, node)),
    };
  };
  return readDer(bytes, node);
}

function twosComplement(value: bigint): Uint8Array {
  let octets = 1n;
  while (value < -(2n ** (8n * octets - 1n)) || value >= 2n ** (8n * octets - 1n)) octets += 1n;
  const hex = BigInt.asUintN(Number(8n * octets), value).toString(16);
  return new Uint8Array(Buffer.from(hex.padStart(Number(2n * octets), '0'), 'hex'));
}
