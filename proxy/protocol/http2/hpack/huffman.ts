/** Huffman-coded string literals (RFC 7541 §5.2), four bits at a time one way and whole codes the other. */

import type { Buffer } from 'node:buffer';
import { endOfString, huffmanCode } from './huffman-code.ts';

/**
 * Decodes `bytes[start, end)` into `target`, which must have room for {@link decodedLengthMax}. Answers
 * how many bytes came out, or -1 for what no encoder may write: EOS, or padding that is longer than
 * seven bits or not all ones.
 */
export function huffmanDecode(bytes: Buffer, start: number, end: number, target: Buffer): number {
  let length = 0;
  let node = 0;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    for (let shift = 4; shift >= 0; shift -= 4) {
      const step = steps[node * 16 + ((byte >> shift) & 15)] ?? failure;
      if ((step & emits) !== 0) {
        target[length] = step & 0xff;
        length += 1;
      } else if (step === failure) {
        return -1;
      }
      node = step >>> nodeShift;
    }
  }
  return isPadding[node] === 1 ? length : -1;
}

/** The shortest code has five bits. */
export function decodedLengthMax(encodedLength: number): number {
  return Math.floor((encodedLength * 8) / 5);
}

/** How many bytes the text takes when coded. Every character is one byte. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at += 1) {
    bits += huffmanCode.lengths[text.charCodeAt(at) & 0xff] ?? 0;
  }
  return (bits + 7) >> 3;
}

/** Writes the coded text at `position` and answers the position behind it. */
export function huffmanEncode(text: string, target: Buffer, position: number): number {
  let at = position;
  // At most 7 bits wait while a code of up to 30 comes, which is more than 32-bit shifts can hold:
  // so the code goes in as two halves.
  let held = 0;
  let heldBits = 0;
  for (let index = 0; index < text.length; index += 1) {
    const symbol = text.charCodeAt(index) & 0xff;
    const code = huffmanCode.codes[symbol] ?? 0;
    let left = huffmanCode.lengths[symbol] ?? 0;
    while (left > 0) {
      const taken = Math.min(left, halfBits);
      left -= taken;
      held = (held << taken) | ((code >>> left) & ((1 << taken) - 1));
      heldBits += taken;
      while (heldBits >= 8) {
        heldBits -= 8;
        target[at] = held >>> heldBits;
        at += 1;
      }
      held &= (1 << heldBits) - 1;
    }
  }
  if (heldBits > 0) {
    // §5.2: padded with the most significant bits of EOS, which are ones.
    target[at] = (held << (8 - heldBits)) | (0xff >> heldBits);
    at += 1;
  }
  return at;
}

/**
 * The tree as a table: for each inner node and each four bits, the node they lead to and the symbol that
 * is complete on the way. No code is shorter than five bits, so it is one symbol at most.
 */
function buildTables(): { readonly steps: Uint32Array; readonly isPadding: Uint8Array } {
  const children: [number, number][] = [[none, none]];
  for (let symbol = 0; symbol <= endOfString; symbol += 1) addSymbol(children, symbol);
  const table = new Uint32Array(children.length * 16).fill(failure);
  for (let node = 0; node < children.length; node += 1) {
    for (let bits = 0; bits < 16; bits += 1)
      table[node * 16 + bits] = stepFrom(children, node, bits);
  }
  return { steps: table, isPadding: paddingNodes(children) };
}

function addSymbol(children: [number, number][], symbol: number): void {
  let node = 0;
  for (let bit = (huffmanCode.lengths[symbol] ?? 0) - 1; bit >= 0; bit -= 1) {
    const side = ((huffmanCode.codes[symbol] ?? 0) >>> bit) & 1 ? 1 : 0;
    const pair = children[node];
    if (pair === undefined) throw new RangeError('the Huffman code is not a prefix code');
    if (bit === 0) {
      pair[side] = leaf + symbol;
    } else {
      if (pair[side] === none) pair[side] = children.push([none, none]) - 1;
      node = pair[side];
    }
  }
}

function stepFrom(children: [number, number][], from: number, bits: number): number {
  let node = from;
  let symbol = none;
  for (let shift = 3; shift >= 0; shift -= 1) {
    const next = children[node]?.[(bits >> shift) & 1 ? 1 : 0] ?? none;
    if (next < leaf) {
      node = next;
      continue;
    }
    // §5.2: a string that holds EOS is a decoding error.
    if (next === leaf + endOfString) return failure;
    symbol = next - leaf;
    node = 0;
  }
  return ((node << nodeShift) | (symbol === none ? 0 : emits | symbol)) >>> 0;
}

/** A string may end at the root, or up to seven ones below it: the beginning of EOS. */
function paddingNodes(children: [number, number][]): Uint8Array {
  const marks = new Uint8Array(children.length);
  let node = 0;
  for (let ones = 0; ones <= 7; ones += 1) {
    marks[node] = 1;
    node = children[node]?.[1] ?? 0;
  }
  return marks;
}

const none = -1;
const leaf = 1 << 16;
const halfBits = 15;
const nodeShift = 9;
const emits = 1 << 8;
const failure = 0xff_ff_ff_ff;
const { steps, isPadding } = buildTables();
