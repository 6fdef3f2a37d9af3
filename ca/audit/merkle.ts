/**
 * The Merkle tree of the audit log (RFC 9162 §2.1), grown one leaf at a time.
 *
 * Only the roots of the complete subtrees on the left edge are kept, one for each 1 bit of the
 * size: enough to append and to know the root, whatever the size.
 */

import { hash } from 'node:crypto';

/** A tree as a value: appending makes a new one, so a failed write needs no undoing. */
export interface MerkleTree {
  readonly size: number;
  /** Roots of the complete subtrees, the largest (leftmost) first. */
  readonly subtrees: readonly Uint8Array[];
}

export const emptyTree: MerkleTree = { size: 0, subtrees: [] };

/** RFC 9162 §2.1.1: HASH(0x00 || entry). */
export function leafHashOf(entry: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + entry.length);
  input.set(entry, 1);
  return sha256(input);
}

/** RFC 9162 §2.1.1: HASH(0x01 || left || right); the other prefix keeps a node from passing for a leaf. */
export function nodeHashOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + hashBytes + hashBytes);
  input[0] = 1;
  input.set(left, 1);
  input.set(right, 1 + hashBytes);
  return sha256(input);
}

export function appendLeaf(tree: MerkleTree, leafHash: Uint8Array): MerkleTree {
  const subtrees = [...tree.subtrees];
  let node = leafHash;
  // Each trailing 1 bit of the size is a complete subtree as large as the one now complete.
  for (let rest = tree.size; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = subtrees.pop();
    if (left === undefined)
      throw new RangeError('a tree has one subtree for each 1 bit of its size');
    node = nodeHashOf(left, node);
  }
  subtrees.push(node);
  return { size: tree.size + 1, subtrees };
}

/** The Merkle tree hash; of the empty tree it is the hash of nothing (RFC 9162 §2.1.1). */
export function rootHashOf(tree: MerkleTree): Uint8Array {
  const [last, ...rest] = tree.subtrees.toReversed();
  if (last === undefined) return sha256(new Uint8Array(0));
  return rest.reduce((right, left) => nodeHashOf(left, right), last);
}

/** Whether the number of subtrees and their lengths fit the size: for a tree read from a file. */
export function isMerkleTree(tree: MerkleTree): boolean {
  if (!Number.isSafeInteger(tree.size) || tree.size < 0) return false;
  const ones = tree.size.toString(2).replaceAll('0', '').length;
  return tree.subtrees.length === ones && tree.subtrees.every((node) => node.length === hashBytes);
}

function sha256(input: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', input, 'buffer'));
}

export const hashBytes = 32;
