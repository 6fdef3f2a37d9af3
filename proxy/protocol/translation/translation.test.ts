/** From one version to the other and nothing else: no head, however hostile, becomes two, or says another thing. */

import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestTranscript, responseTranscript } from '../../../test/vectors/http1/transcript.ts';
import { type Field, makeField } from '../http2/field.ts';
import { readRequestHead } from '../http2/request-head.ts';
import { readResponseHead, readTrailers } from '../http2/response-head.ts';
import { lastChunk } from '../http1/encode-chunk.ts';
import { RequestDecoder } from '../http1/request-decoder.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { encodeTranslatedRequestHead } from './request-to-http1.ts';
import { encodeTranslatedResponseHead, http1FramingOf } from './response-to-http1.ts';
import { requestFields, trailerFields } from './to-http2.ts';

type Pair = readonly [name: string, value: string];

const hostile = fc.constantFrom(
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  '/',
  '0',
  'a',
  'HTTP/1.1',
  'Host: b.test',
  'Transfer-Encoding: chunked',
  '\x7f',
  '\xff',
  ',',
  ';',
);
const text = fc.array(hostile, { maxLength: 5 }).map((parts) => parts.join(''));
const names = fc.oneof(
  fc.constantFrom(
    'x-a',
    'content-length',
    'transfer-encoding',
    'connection',
    'host',
    'te',
    'cookie',
    'expect',
    'content_length',
    'x_forwarded_client_cert',
    'x-forwarded-client-cert',
    'X-Upper',
  ),
  text,
);
const values = fc.oneof(
  text,
  fc.constantFrom('0', '5', '+5', '5, 5', 'chunked', 'trailers', 'a=1'),
);
const edits = {
  set: [['x-forwarded-client-cert', 'URI=spiffe://mesh.test/web']] as const,
  remove: ['x-removed'],
};

describe('a request of HTTP/2 in HTTP/1.1', () => {
  const request = fc.record({
    method: fc.oneof(fc.constantFrom('GET', 'POST', 'DELETE'), text),
    path: fc.oneof(
      fc.constantFrom('/', '/a?b'),
      text.map((rest) => `/${rest}`),
    ),
    authority: fc.oneof(fc.constant('a.test'), text),
    fields: fc.array(fc.tuple(names, values), { maxLength: 5 }),
    isWhole: fc.boolean(),
  });

  test('is one request that says the same, or was refused before', () => {
    let translated = 0;
    fc.assert(
      fc.property(request, ({ method, path, authority, fields, isWhole }) => {
        const head = readRequestHead(
          list([
            [':method', method],
            [':scheme', 'https'],
            [':path', path],
            [':authority', authority],
            ...fields,
          ]),
          isWhole,
          false,
        );
        if ('scope' in head || head.method === 'CONNECT') return;
        translated += 1;
        const bytes = encodeTranslatedRequestHead(head, edits);
        const { messages, error } = requestTranscript([Buffer.concat([bytes, body(head, bytes)])]);
        expect(error).toBeUndefined();
        expect(messages).toHaveLength(1);
        expect(messages[0]).toMatchObject({
          head: { method, target: path, host: head.authority },
          complete: true,
        });
        const sent = fieldsOf(messages[0]?.head);
        expect(
          sent.filter(([name]) => name.replaceAll('_', '-') === 'x-forwarded-client-cert'),
        ).toEqual([['x-forwarded-client-cert', 'URI=spiffe://mesh.test/web']]);
        for (const [name, value] of fields) {
          if (name === 'x-a') expect(sent).toContainEqual([name, value]);
        }
      }),
      { numRuns: 3000 },
    );
    // The generator makes heads that pass, or the property would say nothing.
    expect(translated).toBeGreaterThan(50);
  });

  /** As much body as the head announces: nothing may be left over, and nothing may be missing. */
  function body(
    head: { isWhole: boolean; contentLength: number | undefined },
    bytes: Buffer,
  ): Buffer {
    if (/\r\ntransfer-encoding: chunked\r\n/i.test(bytes.toString('latin1'))) return lastChunk();
    return Buffer.alloc(head.isWhole ? 0 : (head.contentLength ?? 0), 0x61);
  }
});

describe('a response of HTTP/2 in HTTP/1.1', () => {
  test('is one response that says the same, or was refused before', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('200', '204', '304', '404'),
        fc.array(fc.tuple(names, values), { maxLength: 5 }),
        fc.boolean(),
        (status, fields, isWhole) => {
          const head = readResponseHead(list([[':status', status], ...fields]), isWhole);
          if ('scope' in head) return;
          const framing = http1FramingOf(head);
          const isChunked = framing.kind === 'until_close';
          const bytes = encodeTranslatedResponseHead(
            head,
            isChunked ? { framing: { kind: 'chunked' } } : { framing },
          );
          const content = isChunked
            ? lastChunk()
            : Buffer.alloc(framing.kind === 'length' ? framing.length : 0, 0x61);
          const { messages, error } = responseTranscript([Buffer.concat([bytes, content])]);
          expect(error).toBeUndefined();
          expect(messages).toHaveLength(1);
          expect(messages[0]).toMatchObject({ head: { status: Number(status) }, complete: true });
        },
      ),
      { numRuns: 1500 },
    );
  });
});

describe('a request of HTTP/1.1 in HTTP/2', () => {
  test('is a right head, whatever a client may write', () => {
    let translated = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(
          'GET /a?b',
          'POST /',
          'OPTIONS *',
          'GET http://a.test/x',
          'PUT /\xff',
          'GET /a b',
        ),
        fc.array(fc.tuple(names, values), { maxLength: 5 }),
        (line, fields) => {
          const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
          const head = decode(`${line} HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n`);
          if (head === undefined) return;
          translated += 1;
          const made = requestFields(head, edits, 'http');
          const read = readRequestHead(made, false, false);
          expect('scope' in read ? read.detail : 'right').toBe('right');
          expect(read).toMatchObject({ method: head.method, authority: 'a.test' });
          expect(made.filter(({ name }) => name === 'x-forwarded-client-cert')).toHaveLength(1);
        },
      ),
      { numRuns: 3000 },
    );
    expect(translated).toBeGreaterThan(50);
  });

  test('what Connection names stays behind, and TE says trailers or nothing', () => {
    const head = decode(
      'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: X-Hop, TE\r\nX-Hop: 1\r\nTE: deflate, trailers\r\n' +
        'Upgrade: h2c\r\nHTTP2-Settings: x\r\nKeep-Alive: 5\r\nX-Kept: 1\r\n\r\n',
    );
    if (head === undefined) throw new Error('a right head was refused');
    const made = requestFields(head, {}, 'http').map(({ name, value }) => [name, value]);
    expect(made.slice(4)).toEqual([
      ['x-kept', '1'],
      ['te', 'trailers'],
    ]);
  });
});

test('trailers of either version are trailers of the other', () => {
  const trailers = readTrailers(
    list([
      ['x-sum', '5'],
      ['grpc-status', '0'],
    ]),
  );
  if ('scope' in trailers) throw new Error(trailers.detail);
  expect(lastChunk(trailers).toString('latin1')).toBe('0\r\nx-sum: 5\r\ngrpc-status: 0\r\n\r\n');
  expect(trailerFields(trailers)).toEqual(trailers.all);
});

function decode(bytes: string): RequestHead | undefined {
  const decoder = new RequestDecoder();
  decoder.push(Buffer.from(bytes, 'latin1'));
  const event = decoder.next();
  return event.kind === 'head' ? event.head : undefined;
}

function list(pairs: readonly Pair[]): Field[] {
  return pairs.map(([name, value]) => makeField(name, value));
}

function fieldsOf(head: Readonly<Record<string, unknown>> | undefined): readonly Pair[] {
  return (head?.['headers'] ?? []) as readonly Pair[];
}
