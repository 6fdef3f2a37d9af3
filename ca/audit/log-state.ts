/** Where a log stands: all that is needed to append to it. A value, replaced when a write is durable. */

import { fromHex, toHex } from '../../core/index.ts';
import { emptyTree, isMerkleTree, type MerkleTree } from './merkle.ts';
import { noPrevious } from './record-line.ts';

export interface LogState {
  readonly tree: MerkleTree;
  /** Hexadecimal leaf hash of the last record. */
  readonly previous: string;
  /** The index of the first record of the segment now written. */
  readonly segmentFirstIndex: number;
  /** How many bytes of that segment are durable records. */
  readonly segmentBytes: number;
}

export const emptyLog: LogState = {
  tree: emptyTree,
  previous: noPrevious,
  segmentFirstIndex: 0,
  segmentBytes: 0,
};

/** The content of a `.tree` file: the tree and the last hash as they are when a segment begins. */
export function formatSegmentTree(state: LogState): string {
  const { size, subtrees } = state.tree;
  return `${JSON.stringify({ size, subtrees: subtrees.map(toHex), previous: state.previous })}\n`;
}

/** The state at the beginning of segment `firstIndex`, or undefined if the text does not fit it. */
export function parseSegmentTree(text: string, firstIndex: number): LogState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (!('size' in value) || value.size !== firstIndex) return undefined;
  if (!('previous' in value) || typeof value.previous !== 'string') return undefined;
  if (!('subtrees' in value) || !Array.isArray(value.subtrees)) return undefined;
  const nodes = value.subtrees.map((node) =>
    typeof node === 'string' ? fromHex(node) : undefined,
  );
  const subtrees = nodes.filter((node) => node !== undefined);
  const tree = { size: firstIndex, subtrees };
  if (subtrees.length !== nodes.length || !isMerkleTree(tree)) return undefined;
  return { tree, previous: value.previous, segmentFirstIndex: firstIndex, segmentBytes: 0 };
}
