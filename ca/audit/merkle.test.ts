import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, utf8Bytes } from '../../core/index.ts';
import vectors from '../../test/vectors/rfc9162/merkle-tree.json' with { type: 'json' };
import { appendLeaf, emptyTree, isMerkleTree, leafHashOf, rootHashOf } from './merkle.ts';
import {
  consistencyProof,
  inclusionProof,
  type Proof,
  verifyConsistency,
  verifyInclusion,
} from './merkle-proof.ts';

describe('merkle tree', () => {
  test.for(vectors)('vector: $name', ({ input, expected }) => {
    const leaves = input.leaves.map((hex) => leafHashOf(bytes(hex)));
    const root = rootOf(leaves);
    expect(toHex(root)).toBe(expected.root);
    if (input.index !== undefined) {
      const proof = inclusionProof(leaves, input.index);
      expect(proof.map(toHex)).toEqual(expected.proof);
      expect(isIncluded(leaves, input.index, proof)).toBe(true);
    }
    if (input.firstSize !== undefined) {
      const proof = consistencyProof(leaves, input.firstSize);
      expect(proof.map(toHex)).toEqual(expected.proof);
      expect(toHex(rootOf(leaves.slice(0, input.firstSize)))).toBe(expected.firstRoot);
      expect(isConsistent(leaves, input.firstSize, proof)).toBe(true);
    }
  });

  test('every leaf of every small tree is proved, and no other leaf by the same proof', () => {
    for (let size = 1; size <= 17; size += 1) {
      const leaves = someLeaves(size);
      const rootHash = rootOf(leaves);
      for (const [index, leafHash] of leaves.entries()) {
        const p = { index, size, proof: inclusionProof(leaves, index), rootHash };
        expect(verifyInclusion({ ...p, leafHash })).toBe(true);
        expect(verifyInclusion({ ...p, leafHash: leafHashOf(utf8Bytes('x')) })).toBe(false);
      }
    }
  });

  test('every small tree is proved to begin every larger one', () => {
    for (let size = 1; size <= 17; size += 1) {
      const leaves = someLeaves(size);
      for (let firstSize = 1; firstSize <= size; firstSize += 1) {
        expect(isConsistent(leaves, firstSize, consistencyProof(leaves, firstSize))).toBe(true);
      }
    }
  });

  property.prop([fc.integer({ min: 1, max: 70 }), fc.nat(), fc.nat(), fc.nat()])(
    'a proof with one bit changed, one node more or one node less proves nothing',
    (size, a, b, bit) => {
      const leaves = someLeaves(size);
      const index = a % size;
      const firstSize = 1 + (b % size);
      for (const bad of mutations(inclusionProof(leaves, index), bit)) {
        expect(isIncluded(leaves, index, bad)).toBe(false);
      }
      for (const bad of mutations(consistencyProof(leaves, firstSize), bit)) {
        expect(isConsistent(leaves, firstSize, bad)).toBe(false);
      }
    },
  );

  property.prop([fc.integer({ min: 2, max: 70 }), fc.nat(), fc.nat()])(
    'a tree whose past was changed is not consistent with what it was',
    (size, a, b) => {
      const leaves = someLeaves(size);
      const firstSize = 1 + (a % size);
      const changed = leaves.with(b % firstSize, leafHashOf(utf8Bytes('changed')));
      expect(
        verifyConsistency({
          firstSize,
          firstRootHash: rootOf(leaves.slice(0, firstSize)),
          size,
          rootHash: rootOf(changed),
          proof: consistencyProof(changed, firstSize),
        }),
      ).toBe(false);
    },
  );

  test('any tree is consistent with the empty one by an empty proof alone', () => {
    const rootHash = rootOf(someLeaves(3));
    const firstRootHash = rootHashOf(emptyTree);
    const p = { firstSize: 0, firstRootHash, size: 3, rootHash };
    expect(verifyConsistency({ ...p, proof: [] })).toBe(true);
    expect(verifyConsistency({ ...p, proof: [rootHash] })).toBe(false);
    expect(verifyConsistency({ ...p, firstRootHash: rootHash, proof: [] })).toBe(false);
  });

  test('a shrunken tree is consistent with nothing larger', () => {
    const rootHash = rootOf(someLeaves(3));
    const p = { firstSize: 4, firstRootHash: rootHash, size: 3, rootHash, proof: [] };
    expect(verifyConsistency(p)).toBe(false);
  });

  test('a proof of what is outside the tree cannot be asked for', () => {
    expect(() => inclusionProof(someLeaves(3), 3)).toThrow(RangeError);
    expect(() => inclusionProof([], 0)).toThrow(RangeError);
    expect(() => consistencyProof(someLeaves(3), 4)).toThrow(RangeError);
    expect(() => consistencyProof(someLeaves(3), 0)).toThrow(RangeError);
  });

  test('appending leaves the tree before as it was', () => {
    const three = someLeaves(3).reduce(appendLeaf, emptyTree);
    const root = toHex(rootHashOf(three));
    appendLeaf(three, leafHashOf(utf8Bytes('x')));
    expect(toHex(rootHashOf(three))).toBe(root);
    expect(isMerkleTree(three)).toBe(true);
    expect(isMerkleTree({ ...three, size: 4 })).toBe(false);
    expect(isMerkleTree({ size: 1, subtrees: [new Uint8Array(31)] })).toBe(false);
  });
});

function mutations(proof: Proof, bit: number): Proof[] {
  const extra = leafHashOf(utf8Bytes('extra'));
  const longer: Proof[] = [
    [...proof, extra],
    [extra, ...proof],
  ];
  if (proof.length === 0) return longer;
  const at = bit % proof.length;
  const flipped = new Uint8Array(proof[at] ?? extra);
  flipped[bit % 32] = (flipped[bit % 32] ?? 0) ^ (1 << (bit % 8));
  return [...longer, proof.slice(1), proof.slice(0, -1), proof.with(at, flipped)];
}

function isIncluded(leaves: readonly Uint8Array[], index: number, proof: Proof): boolean {
  const leafHash = leaves[index];
  if (leafHash === undefined) throw new RangeError('no such leaf');
  return verifyInclusion({ index, size: leaves.length, leafHash, proof, rootHash: rootOf(leaves) });
}

function isConsistent(leaves: readonly Uint8Array[], firstSize: number, proof: Proof): boolean {
  return verifyConsistency({
    firstSize,
    firstRootHash: rootOf(leaves.slice(0, firstSize)),
    size: leaves.length,
    rootHash: rootOf(leaves),
    proof,
  });
}

function someLeaves(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => leafHashOf(utf8Bytes(`leaf ${index}`)));
}

function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  return rootHashOf(leaves.reduce(appendLeaf, emptyTree));
}

function bytes(hex: string): Uint8Array {
  const found = fromHex(hex);
  if (found === undefined) throw new TypeError(`${hex} is not hexadecimal`);
  return found;
}
