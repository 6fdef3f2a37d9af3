import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { requestTranscript, responseTranscript } from '../../../test/vectors/http1/transcript.ts';
import { encodeChunk, lastChunk } from './encode-chunk.ts';
import { continueReply, encodeLocalReply, type LocalReply } from './local-reply.ts';
import { RequestDecoder } from './request-decoder.ts';

describe('chunks', () => {
  test('a chunk is its size in hexadecimal, its data, and the line ends', () => {
    expect(encodeChunk(Buffer.alloc(26, 'x')).toString()).toBe(`1a\r\n${'x'.repeat(26)}\r\n`);
  });

  test('no data is no chunk, for an empty one would end the body', () => {
    expect(encodeChunk(Buffer.alloc(0))).toHaveLength(0);
  });

  test('the last chunk carries the trailers that were received', () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    const decoder = new RequestDecoder();
    decoder.push(Buffer.from(`${head}0;ext\r\nX-A:1 \r\nx-b: 2\r\n\r\n`));
    decoder.next();
    const event = decoder.next();
    if (event.kind !== 'end') throw new Error(`${event.kind} instead of the end`);
    expect(lastChunk(event.trailers).toString()).toBe('0\r\nX-A:1 \r\nx-b: 2\r\n\r\n');
    expect(lastChunk().toString()).toBe('0\r\n\r\n');
  });

  test('what is encoded is decoded', () => {
    const head = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const pieces = ['a', '', 'b'.repeat(300)].map((text) => encodeChunk(Buffer.from(text)));
    expect(requestTranscript([head, ...pieces, lastChunk()])).toMatchObject({
      messages: [{ body: `a${'b'.repeat(300)}`, complete: true }],
    });
  });
});

describe('local replies', () => {
  test('a reply is one whole response', () => {
    const reply = encodeLocalReply({
      status: 503,
      body: 'no é',
      headers: [['Content-Type', 'text/plain']],
      close: true,
    });
    expect(reply.toString()).toBe(
      'HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nno é',
    );
    expect(responseTranscript([reply])).toMatchObject({
      messages: [{ head: { status: 503, keepAlive: false }, complete: true }],
    });
  });

  test('a reply to HEAD states the length and sends no body', () => {
    const reply = encodeLocalReply({ status: 404, body: 'gone', omitBody: true });
    expect(responseTranscript([reply], { methods: ['HEAD'] })).toMatchObject({
      messages: [{ head: { headers: [['Content-Length', '4']] }, body: '', complete: true }],
    });
  });

  test('204 and 304 state no length (RFC 9110 §8.6)', () => {
    expect(encodeLocalReply({ status: 204 }).toString()).toBe('HTTP/1.1 204 No Content\r\n\r\n');
    expect(encodeLocalReply({ status: 200, keepAlive: true }).toString()).toBe(
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n',
    );
  });

  test('a status without a phrase, or with one of its own', () => {
    expect(encodeLocalReply({ status: 599 }).toString()).toMatch(/^HTTP\/1\.1 599 \r\n/);
    expect(encodeLocalReply({ status: 599, reason: 'x' }).toString()).toMatch(
      /^HTTP\/1\.1 599 x\r\n/,
    );
  });

  test.for<readonly [LocalReply, string]>([
    [{ status: 101 }, 'status_invalid'],
    [{ status: 600 }, 'status_invalid'],
    [{ status: 200, reason: 'a\r\nb' }, 'status_invalid'],
    [{ status: 200, headers: [['A', 'b\n']] }, 'field_value_invalid'],
    [{ status: 200, headers: [['Content-Length', '7']] }, 'field_name_reserved'],
    [{ status: 204, body: 'x' }, 'framing_impossible'],
  ])('%j is refused', ([reply, code]) => {
    expect(() => encodeLocalReply(reply)).toThrow(expect.objectContaining({ code }));
  });

  test('100 Continue is an interim response', () => {
    expect(responseTranscript([continueReply])).toMatchObject({
      messages: [{ head: { status: 100, interim: true } }],
    });
  });
});
