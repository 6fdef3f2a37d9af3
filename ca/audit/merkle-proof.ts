/** Proofs over the Merkle tree: that a record is in the log, and that a log only grew (RFC 9162 §2.1.3–4). */

import { equalBytes } from '../../core/index.ts';
import { appendLeaf, emptyTree, nodeHashOf, rootHashOf } from './merkle.ts';

export type Proof = readonly Uint8Array[];

/** RFC 9162 §2.1.3.1: the siblings on the way from leaf `index` to the root of all `leaves`. */
export function inclusionProof(leaves: readonly Uint8Array[], index: number): Proof {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) {
    throw new RangeError(`no leaf ${index} in a tree of ${leaves.length}`);
  }
  if (leaves.length === 1) return [];
  const split = largestPowerOfTwoBelow(leaves.length);
  const left = leaves.slice(0, split);
  const right = leaves.slice(split);
  return index < split
    ? [...inclusionProof(left, index), rootOf(right)]
    : [...inclusionProof(right, index - split), rootOf(left)];
}

/** RFC 9162 §2.1.3.2. */
export function verifyInclusion(p: {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly proof: Proof;
  readonly rootHash: Uint8Array;
}): boolean {
  if (p.index < 0 || p.index >= p.size) return false;
  let position = p.index;
  let last = p.size - 1;
  let node = p.leafHash;
  for (const sibling of p.proof) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      node = nodeHashOf(sibling, node);
      // A node with no right sibling rises unchanged until it has a left one.
      while (position % 2 === 0 && position !== 0) {
        position /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      node = nodeHashOf(node, sibling);
    }
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(node, p.rootHash);
}

/** RFC 9162 §2.1.4.1: that the tree of all `leaves` begins with the tree of the first `firstSize`. */
export function consistencyProof(leaves: readonly Uint8Array[], firstSize: number): Proof {
  if (!Number.isInteger(firstSize) || firstSize < 1 || firstSize > leaves.length) {
    throw new RangeError(`no tree of ${firstSize} in a tree of ${leaves.length}`);
  }
  return subProof(leaves, firstSize, true);
}

function subProof(leaves: readonly Uint8Array[], firstSize: number, isWhole: boolean): Proof {
  if (firstSize === leaves.length) return isWhole ? [] : [rootOf(leaves)];
  const split = largestPowerOfTwoBelow(leaves.length);
  const left = leaves.slice(0, split);
  const right = leaves.slice(split);
  return firstSize <= split
    ? [...subProof(left, firstSize, isWhole), rootOf(right)]
    : [...subProof(right, firstSize - split, false), rootOf(left)];
}

/** RFC 9162 §2.1.4.2. Every tree is consistent with the empty one, by an empty proof. */
export function verifyConsistency(p: {
  readonly firstSize: number;
  readonly firstRootHash: Uint8Array;
  readonly size: number;
  readonly rootHash: Uint8Array;
  readonly proof: Proof;
}): boolean {
  if (p.firstSize < 0 || p.firstSize > p.size) return false;
  if (p.firstSize === p.size) {
    return p.proof.length === 0 && equalBytes(p.firstRootHash, p.rootHash);
  }
  if (p.firstSize === 0) {
    return p.proof.length === 0 && equalBytes(p.firstRootHash, rootHashOf(emptyTree));
  }
  // Step 2: a first tree that is complete is its own first node.
  const path = isPowerOfTwo(p.firstSize) ? [p.firstRootHash, ...p.proof] : [...p.proof];
  return walkConsistency(p, path);
}

function walkConsistency(
  p: {
    readonly firstSize: number;
    readonly firstRootHash: Uint8Array;
    readonly size: number;
    readonly rootHash: Uint8Array;
  },
  path: Proof,
): boolean {
  const [start, ...rest] = path;
  if (start === undefined) return false;
  let position = p.firstSize - 1;
  let last = p.size - 1;
  while (position % 2 === 1) {
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  let first = start;
  let second = start;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      first = nodeHashOf(sibling, first);
      second = nodeHashOf(sibling, second);
      while (position % 2 === 0 && position !== 0) {
        position /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      second = nodeHashOf(second, sibling);
    }
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(first, p.firstRootHash) && equalBytes(second, p.rootHash);
}

function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  return rootHashOf(leaves.reduce(appendLeaf, emptyTree));
}

function largestPowerOfTwoBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

function isPowerOfTwo(size: number): boolean {
  let rest = size;
  while (rest % 2 === 0) rest /= 2;
  return rest === 1;
}
