import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { defaultHttp1Limits, type Http1Limits } from './limits.ts';
import { RequestDecoder } from './request-decoder.ts';
import { ResponseDecoder } from './response-decoder.ts';

describe('RequestDecoder', () => {
  test('gives body bytes as slices of what was pushed', () => {
    const chunk = bytes(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello`);
    const more = bytes('world');
    const decoder = new RequestDecoder();
    decoder.push(chunk);
    decoder.next();
    expect(dataOf(decoder.next()).buffer).toBe(chunk.buffer);
    decoder.push(more);
    // A chunk that is body from end to end is handed on as it is.
    expect(dataOf(decoder.next())).toBe(more);
    expect(decoder.next()).toEqual({ kind: 'end' });
  });

  test('keeps what was given out unchanged while a head drips in', () => {
    const decoder = new RequestDecoder();
    const text = 'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab';
    const kept: { readonly raw: Buffer; readonly body: Buffer }[] = [];
    for (let round = 0; round < 3; round += 1) {
      for (const byte of bytes(text).subarray(0, -2)) decoder.push(Buffer.from([byte]));
      const event = decoder.next();
      if (event.kind !== 'head') throw new Error(`${event.kind} instead of a head`);
      decoder.push(bytes('ab'));
      kept.push({ raw: event.head.raw, body: dataOf(decoder.next()) });
      expect(decoder.next().kind).toBe('end');
    }
    for (const { raw, body } of kept) {
      expect(`${raw.toString('latin1')}${body.toString('latin1')}`).toBe(text);
    }
  });

  test('holds what is not asked for, and says how much', () => {
    const decoder = new RequestDecoder();
    expect(decoder.isIdle).toBe(true);
    decoder.push(bytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    decoder.push(bytes('GET / HTTP'));
    expect(decoder.bufferedBytes).toBe(37);
    expect(decoder.isIdle).toBe(false);
    expect(decoder.next().kind).toBe('head');
    expect(decoder.bufferedBytes).toBe(10);
    expect(decoder.next().kind).toBe('end');
    expect(decoder.next()).toEqual({ kind: 'need_more' });
    expect(decoder.bufferedBytes).toBe(10);
    expect(decoder.isIdle).toBe(false);
  });

  test('takes an empty chunk for nothing', () => {
    const decoder = new RequestDecoder();
    decoder.push(Buffer.alloc(0));
    expect(decoder.next()).toEqual({ kind: 'need_more' });
    expect(decoder.isIdle).toBe(true);
  });

  test('an error is the last word', () => {
    const decoder = new RequestDecoder();
    decoder.push(bytes('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n'));
    const failure = decoder.next();
    expect(failure).toMatchObject({ kind: 'error', code: 'content_length_invalid' });
    decoder.push(bytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    expect(decoder.next()).toBe(failure);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('a refusal says where and never what', () => {
    const decoder = new RequestDecoder();
    decoder.push(bytes('GET / HTTP/1.1\r\nHost: a\r\nAuthorization: secret\x00\r\n\r\n'));
    const failure = decoder.next();
    expect(failure).toMatchObject({ detail: 'byte 0x00 in a field value at offset 46' });
  });
});

describe('limits, each met and each passed by one byte', () => {
  const line = 'GET /12345 HTTP/1.1\r\n';
  const fields = 'Host: a\r\nA: 345678\r\n\r\n';
  const cases: readonly {
    readonly name: string;
    readonly input: string;
    readonly limit: Partial<Http1Limits>;
    readonly passed: Partial<Http1Limits>;
    readonly error: readonly [code: string, status: number];
  }[] = [
    {
      name: 'request line',
      input: line + fields,
      limit: { startLineBytesMax: line.length },
      passed: { startLineBytesMax: line.length - 1 },
      error: ['target_too_long', 414],
    },
    {
      name: 'field lines',
      input: line + fields,
      limit: { headerBytesMax: fields.length },
      passed: { headerBytesMax: fields.length - 1 },
      error: ['headers_too_large', 431],
    },
    {
      name: 'number of fields',
      input: line + fields,
      limit: { headerCountMax: 2 },
      passed: { headerCountMax: 1 },
      error: ['headers_too_many', 431],
    },
    {
      name: 'body by length',
      input: 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
      limit: { bodyBytesMax: 5 },
      passed: { bodyBytesMax: 4 },
      error: ['body_too_large', 413],
    },
    {
      name: 'body by chunks',
      input: chunked('3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n'),
      limit: { bodyBytesMax: 5 },
      passed: { bodyBytesMax: 4 },
      error: ['body_too_large', 413],
    },
    {
      name: 'chunk extensions of all chunks together',
      input: chunked('1;ab\r\nx\r\n1;cd\r\ny\r\n0\r\n\r\n'),
      limit: { chunkExtensionBytesMax: 6 },
      passed: { chunkExtensionBytesMax: 5 },
      error: ['chunk_extension_too_large', 400],
    },
    {
      name: 'trailer fields',
      input: chunked('0\r\nA: 34567890123456789012345678901234567890123456789\r\n\r\n'),
      limit: { headerBytesMax: 54 },
      passed: { headerBytesMax: 53 },
      error: ['headers_too_large', 431],
    },
    {
      name: 'number of trailer fields',
      input: chunked('0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n'),
      limit: { headerCountMax: 3 },
      passed: { headerCountMax: 2 },
      error: ['headers_too_many', 431],
    },
    {
      name: 'bytes that wait',
      input: line + fields,
      limit: { bufferedBytesMax: line.length + fields.length },
      passed: { bufferedBytesMax: line.length + fields.length - 1 },
      error: ['buffer_overflow', 413],
    },
  ];

  test.for(cases)('$name', ({ input, limit, passed, error }) => {
    expect(lastRequestEvent(input, limit)).toMatchObject({ kind: 'end' });
    expect(lastRequestEvent(input, passed)).toMatchObject({
      kind: 'error',
      code: error[0],
      status: error[1],
    });
  });

  test('a head without end is refused at the bound, not at the end of memory', () => {
    const decoder = new RequestDecoder();
    decoder.push(bytes('GET / HTTP/1.1\r\nHost: a\r\nA: '));
    const filler = Buffer.alloc(1024, 'x');
    let pushes = 0;
    for (; decoder.next().kind === 'need_more' && pushes < 1000; pushes += 1) decoder.push(filler);
    expect(decoder.next()).toMatchObject({ code: 'headers_too_large', status: 431 });
    expect(pushes).toBe(64);
  });

  test('a Connection of thousands of names, or of one with a gulf in it, costs nobody time', () => {
    const names = (count: number): string =>
      Array.from({ length: count }, (_, index) => `a${index}`).join(',');
    const code = 'connection_option_invalid';
    expect(lastRequestEvent(withConnection(names(32)), {})).toMatchObject({ kind: 'end' });
    expect(lastRequestEvent(withConnection(names(33)), {})).toMatchObject({ code });
    expect(lastRequestEvent(withConnection(names(9000)), {})).toMatchObject({ code });
    const gulf = `x${' '.repeat(60_000)}y`;
    expect(lastRequestEvent(withConnection(gulf), {})).toMatchObject({ code });
  });

  test('a body of hostile length holds nothing', () => {
    const decoder = new RequestDecoder();
    decoder.push(bytes(chunked('1FFFFFFFFFFFFF\r\nx')));
    const kinds = [decoder.next().kind, decoder.next().kind, decoder.next().kind];
    expect(kinds).toEqual(['head', 'data', 'need_more']);
    expect(decoder.bufferedBytes).toBe(0);
  });

  function lastRequestEvent(input: string, limits: Partial<Http1Limits>): object {
    const decoder = new RequestDecoder({ ...defaultHttp1Limits, ...limits });
    decoder.push(bytes(input));
    let last: object = {};
    for (let event = decoder.next(); event.kind !== 'need_more'; event = decoder.next()) {
      last = event;
      if (event.kind === 'error') break;
    }
    return last;
  }
});

describe('ResponseDecoder', () => {
  test('bytes that came before their request are no answer to it', () => {
    const decoder = new ResponseDecoder();
    decoder.push(bytes('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    decoder.expect('GET');
    expect(decoder.next()).toMatchObject({ code: 'response_unsolicited', status: 502 });
  });

  test('is idle when every request was answered and nothing else came', () => {
    const decoder = new ResponseDecoder();
    expect(decoder.isIdle).toBe(true);
    decoder.expect('GET');
    expect(decoder.isIdle).toBe(false);
    decoder.push(bytes('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    expect(decoder.next().kind).toBe('head');
    expect(decoder.isIdle).toBe(false);
    expect(decoder.next().kind).toBe('end');
    expect(decoder.isIdle).toBe(true);
    decoder.push(bytes('x'));
    expect(decoder.isIdle).toBe(false);
  });

  test('a connection that closes after its response is never idle again', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.push(bytes('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'));
    decoder.next();
    expect(decoder.next().kind).toBe('end');
    expect(decoder.isIdle).toBe(false);
  });

  test('what was pushed before the close is still given out', () => {
    const decoder = new ResponseDecoder();
    decoder.expect('GET');
    decoder.push(bytes('HTTP/1.1 200 OK\r\n\r\na'));
    decoder.push(bytes('b'));
    expect(decoder.finish().kind).toBe('head');
    expect(dataOf(decoder.next()).toString()).toBe('a');
    expect(dataOf(decoder.next()).toString()).toBe('b');
    expect(decoder.next()).toEqual({ kind: 'end' });
    expect(decoder.next()).toEqual({ kind: 'need_more' });
  });

  test('more bytes than may wait are an error', () => {
    const decoder = new ResponseDecoder({ ...defaultHttp1Limits, bufferedBytesMax: 3 });
    decoder.expect('GET');
    decoder.push(bytes('HTTP'));
    expect(decoder.next()).toMatchObject({ code: 'buffer_overflow', status: 502 });
  });
});

function withConnection(value: string): string {
  return `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${value}\r\n\r\n`;
}

function chunked(body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function dataOf(event: { readonly kind: string; readonly bytes?: Buffer }): Buffer {
  if (event.bytes === undefined) throw new Error(`${event.kind} instead of data`);
  return event.bytes;
}
