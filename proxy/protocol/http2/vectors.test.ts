/** HTTP/2 by a table: the states of RFC 9113 §5.1, and what a session makes of right and wrong frames. */

import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  runSession,
  type SessionTranscript,
  type SessionVector,
} from '../../../test/vectors/http2/transcript.ts';
import { stateAfter, type StreamEvent, type StreamState } from './stream-state.ts';

interface StateVector {
  readonly name: string;
  readonly origin: string;
  readonly state: StreamState;
  readonly event: StreamEvent;
  readonly expected: StreamState | null;
}

describe('states', () => {
  const vectors: readonly StateVector[] = JSON.parse(readText('states.json'));
  test.for(vectors)('$name ($origin)', ({ state, event, expected }) => {
    expect(stateAfter(state, event) ?? null).toBe(expected);
  });
});

describe('sessions', () => {
  type Vector = SessionVector & { readonly expected: SessionTranscript };
  const vectors: readonly Vector[] = JSON.parse(readText('sessions.json'));
  test.for(vectors)('$name ($origin)', (vector) => {
    expect(runSession(vector)).toEqual(vector.expected);
    // Wherever what arrives is cut, it means the same.
    expect(runSession(vector, byteByByte)).toEqual(vector.expected);
    // In two at every place, as far as heads of frames and small frames go; the rest is body.
    const longest = vector.steps.every((step) => !('times' in step && (step.times ?? 1) > 1))
      ? cutsMax
      : 10;
    for (let at = 1; at <= longest; at += 1) {
      expect(runSession(vector, (bytes) => inTwo(bytes, at))).toEqual(vector.expected);
    }
  });
});

function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}

function inTwo(bytes: Buffer, at: number): Buffer[] {
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

// The longest frame that the vectors write out is a head of some fields.
const cutsMax = 60;

function readText(name: string): string {
  const url = new URL(`../../../test/vectors/http2/${name}`, import.meta.url);
  return readFileSync(url, 'utf8');
}
