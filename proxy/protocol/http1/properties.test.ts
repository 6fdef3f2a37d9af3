import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  requestTranscript,
  responseTranscript,
  type Transcript,
} from '../../../test/vectors/http1/transcript.ts';
import { encodeChunk, lastChunk } from './encode-chunk.ts';
import { encodeRequestHead } from './encode-head.ts';
import { RequestDecoder } from './request-decoder.ts';

const tokenCharacter = fc.constantFrom(...Array.from("!#$%&'*+-.^_`|~09azAZ"));
const token = fc.string({ unit: tokenCharacter, minLength: 1, maxLength: 12 });
const valueCharacter = fc.constantFrom(...Array.from(' \t!"(),:;=@[]{}/aZ0~\x80\xff'));
const value = fc.string({ unit: valueCharacter, maxLength: 20 }).map(trimBlanks);
const body = fc.uint8Array({ maxLength: 40 }).map((data) => Buffer.from(data).toString('latin1'));
const targetCharacter = fc.constantFrom(...Array.from("/?&=%.:@!$'()*+,;~|{}[]^`-_aZ09"));

// Prefixed, so that no field is one that means something.
const fields = fc.array(
  fc.tuple(
    token.map((name) => `x-${name}`),
    value,
  ),
  { maxLength: 6 },
);

const request = fc.record({
  method: token.filter((name) => name !== 'CONNECT'),
  target: fc.string({ unit: targetCharacter, maxLength: 30 }).map((rest) => `/${rest}`),
  fields,
  framing: fc.constantFrom('none', 'length', 'chunked'),
  pieces: fc.array(
    body.filter((piece) => piece !== ''),
    { maxLength: 4 },
  ),
});
type Request = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

test('valid requests come back as they were sent, wherever the chunks are cut', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 4 }), fc.infiniteStream(cut()), (sent, cuts) => {
      const { messages, error } = requestTranscript(split(sent.map(write).join(''), cuts));
      expect(error).toBeUndefined();
      expect(messages).toMatchObject(sent.map(expectation));
    }),
    { numRuns: 150 },
  );
});

test('a forwarded request says the same as the received one', () => {
  fc.assert(
    fc.property(request, (sent) => {
      const decoder = new RequestDecoder();
      decoder.push(Buffer.from(write(sent), 'latin1'));
      const parts: Buffer[] = [];
      for (let event = decoder.next(); event.kind !== 'need_more'; event = decoder.next()) {
        if (event.kind === 'error') throw new Error(event.detail);
        if (event.kind === 'head') parts.push(encodeRequestHead(event.head, { host: 'b.test' }));
        const isChunked = sent.framing === 'chunked';
        if (event.kind === 'data') parts.push(isChunked ? encodeChunk(event.bytes) : event.bytes);
        if (event.kind === 'end' && isChunked) parts.push(lastChunk(event.trailers));
      }
      const { messages, error } = requestTranscript([Buffer.concat(parts)]);
      expect(error).toBeUndefined();
      const expected = expectation(sent);
      const named = messages.map(({ head }) => ({ ...head, headers: undefined }));
      expect(named).toMatchObject([{ ...expected.head, host: 'b.test', headers: undefined }]);
      expect(messages).toMatchObject([{ body: expected.body, complete: true }]);
      expect(messages[0]?.head['headers']).toEqual(expect.arrayContaining([...sent.fields]));
    }),
    { numRuns: 150 },
  );
});

test('edits fit the buffer that was made for them', () => {
  fc.assert(
    fc.property(request, fields, fields, (sent, set, add) => {
      const decoder = new RequestDecoder();
      decoder.push(Buffer.from(write(sent), 'latin1'));
      const event = decoder.next();
      if (event.kind !== 'head') throw new Error(`${event.kind} instead of a head`);
      const edits = { set, add, host: 'b'.repeat(200), target: `/${'t'.repeat(200)}` };
      const bytes = encodeRequestHead(event.head, { ...edits, connection: 'keep-alive' });
      const transcript = requestTranscript([bytes]);
      expect(transcript.error).toBeUndefined();
      const written = transcript.messages[0]?.head['headers'];
      expect(written).toEqual(expect.arrayContaining([...set, ...add]));
    }),
    { numRuns: 100 },
  );
});

const seeds = ['requests.json', 'responses.json'].map((name) => {
  const url = new URL(`../../../test/vectors/http1/${name}`, import.meta.url);
  const vectors: readonly { readonly input: string }[] = JSON.parse(readFileSync(url, 'utf8'));
  return vectors.map((vector) => vector.input);
});

test.for([
  ['requests', seeds[0] ?? [], requestTranscript],
  ['responses', seeds[1] ?? [], (chunks: readonly Buffer[]) => responseTranscript(chunks)],
] as const)('damaged %s never throw and mean the same however they are cut', ([, inputs, run]) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...inputs),
      fc.array(damage(), { minLength: 1, maxLength: 4 }),
      fc.infiniteStream(cut()),
      (input, damages, cuts) => {
        const text = damages.reduce((current, apply) => apply(current), input);
        const whole: Transcript = run([Buffer.from(text, 'latin1')]);
        expect(run(split(text, cuts))).toEqual(whole);
      },
    ),
    { numRuns: 500 },
  );
});

/** Replaces, inserts, removes or repeats a few bytes, by preference those that mean something. */
function damage(): fc.Arbitrary<(text: string) => string> {
  const meaningful = fc.constantFrom(
    ...Array.from('\r\n\t :;,="\x00\x0b\x7f\x80/?#*0-+'),
    '\r\n',
    '\r\n\r\n',
  );
  return fc
    .record({
      at: fc.nat(400),
      length: fc.nat(6),
      insert: fc.oneof(meaningful, fc.constant(''), token),
      twice: fc.boolean(),
    })
    .map(({ at, length, insert, twice }) => (text) => {
      const from = at % (text.length + 1);
      const middle = twice ? text.slice(from, from + length).repeat(2) : '';
      return text.slice(0, from) + insert + middle + text.slice(from + length);
    });
}

function cut(): fc.Arbitrary<number> {
  return fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 100 }));
}

function split(text: string, cuts: fc.Stream<number>): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = cuts.next().value ?? 1;
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

function write({ method, target, fields: sent, framing, pieces }: Request): string {
  const lines = sent.map(([name, text]) => `${name}: ${text}\r\n`).join('');
  const head = `${method} ${target} HTTP/1.1\r\nHost: a.test\r\n${lines}`;
  if (framing === 'none') return `${head}\r\n`;
  const whole = pieces.join('');
  if (framing === 'length') return `${head}Content-Length: ${whole.length}\r\n\r\n${whole}`;
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
  return `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
}

function expectation({ method, target, fields: sent, framing, pieces }: Request) {
  const mark = target.indexOf('?');
  const whole = framing === 'none' ? '' : pieces.join('');
  const length =
    framing === 'none'
      ? []
      : framing === 'length'
        ? [['Content-Length', `${whole.length}`]]
        : [['Transfer-Encoding', 'chunked']];
  return {
    head: {
      method,
      target,
      path: mark === -1 ? target : target.slice(0, mark),
      ...(mark === -1 ? {} : { query: target.slice(mark + 1) }),
      framing: framing === 'length' ? whole.length : framing,
      headers: [['Host', 'a.test'], ...sent, ...length],
    },
    body: whole,
    complete: true,
  };
}

function trimBlanks(text: string): string {
  return text.replaceAll(/^[ \t]+|[ \t]+$/g, '');
}
