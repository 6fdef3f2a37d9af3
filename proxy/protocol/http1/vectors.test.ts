import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type RequestCircumstances,
  type ResponseCircumstances,
  requestTranscript,
  responseTranscript,
  type Transcript,
} from '../../../test/vectors/http1/transcript.ts';

interface Vector extends ResponseCircumstances, RequestCircumstances {
  readonly name: string;
  readonly origin: string;
  /** Every character is one byte. */
  readonly input: string;
  readonly expected: Transcript;
}

describe('requests', () => {
  test.for(readVectors('requests.json'))('$name ($origin)', (vector) => {
    const { expected } = vector;
    const bytes = Buffer.from(vector.input, 'latin1');
    const whole = requestTranscript([bytes], vector);
    expect(whole).toMatchObject(expected);
    expect(whole.error).toEqual(expected.error);
    for (const chunks of splits(bytes)) expect(requestTranscript(chunks, vector)).toEqual(whole);
  });
});

describe('responses', () => {
  test.for(readVectors('responses.json'))('$name ($origin)', (vector) => {
    const bytes = Buffer.from(vector.input, 'latin1');
    const whole = responseTranscript([bytes], vector);
    expect(whole).toMatchObject(vector.expected);
    expect(whole.error).toEqual(vector.expected.error);
    for (const chunks of splits(bytes)) expect(responseTranscript(chunks, vector)).toEqual(whole);
  });
});

/** Every way to receive the bytes in two pieces, and the way to receive them one by one. */
function* splits(bytes: Buffer): IterableIterator<Buffer[]> {
  yield Array.from(bytes, (byte) => Buffer.from([byte]));
  for (let at = 1; at < bytes.length; at += 1) yield [bytes.subarray(0, at), bytes.subarray(at)];
}

function readVectors(name: string): readonly Vector[] {
  const url = new URL(`../../../test/vectors/http1/${name}`, import.meta.url);
  const vectors: readonly Vector[] = JSON.parse(readFileSync(url, 'utf8'));
  return vectors;
}
