/** The pure parts of gRPC-Web: its media types, its base64 however it is cut, its last frame, its heads. */

import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RequestDecoder } from '../http1/request-decoder.ts';
import { makeField } from '../http2/field.ts';
import { type Http2ResponseHead, readResponseHead } from '../http2/response-head.ts';
import { Base64Decoder } from './base64-decoder.ts';
import { grpcRequestHead, grpcWebResponse } from './heads.ts';
import { grpcWebCall, grpcWebTypeOf } from './media-type.ts';
import { trailerFrame } from './trailer-frame.ts';

describe('media types', () => {
  test.for([
    ['application/grpc-web', undefined, 'application/grpc', false, false],
    ['application/grpc-web+proto', '*/*', 'application/grpc+proto', false, false],
    [
      'Application/gRPC-Web+Proto; charset=utf-8',
      undefined,
      'application/grpc+proto',
      false,
      false,
    ],
    ['application/grpc-web-text', undefined, 'application/grpc', true, true],
    [
      'application/grpc-web-text+proto',
      'application/grpc-web+proto',
      'application/grpc+proto',
      true,
      false,
    ],
    [
      'application/grpc-web+proto',
      'text/html, application/grpc-web-text;q=1',
      'application/grpc+proto',
      false,
      true,
    ],
  ] as const)('%s, accepting %s', ([type, accept, grpcType, isRequestText, isResponseText]) => {
    expect(grpcWebCall(type, accept)).toEqual({ grpcType, isRequestText, isResponseText });
  });

  test.for([undefined, '', 'application/grpc', 'application/grpc-webx', 'x-application/grpc-web'])(
    '%s is none of gRPC-Web',
    (type) => expect(grpcWebCall(type, undefined)).toBeUndefined(),
  );

  test('a response keeps its serialization', () => {
    expect(grpcWebTypeOf('application/grpc+proto', false)).toBe('application/grpc-web+proto');
    expect(grpcWebTypeOf('application/grpc', true)).toBe('application/grpc-web-text');
    expect(grpcWebTypeOf('text/html', false)).toBeUndefined();
  });
});

describe('base64', () => {
  // Three groups of all lengths, with padding in the middle.
  const text = Buffer.from('aGVsbG8=IHdvcmxkIQ==Zm9v+/+/');
  const bytes = Buffer.concat([Buffer.from('hello world!foo'), Buffer.from([0xfb, 0xff, 0xbf])]);

  test('is the same wherever it is cut', () => {
    for (let at = 0; at <= text.length; at += 1) {
      const decoded = decodeAll([text.subarray(0, at), text.subarray(at)]);
      expect(decoded).toEqual({ bytes, isWhole: true });
    }
    expect(decodeAll([...text].map((octet) => Buffer.of(octet)))).toEqual({ bytes, isWhole: true });
  });

  test('of pieces that were padded one by one is all of them', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 9 }), (sent, size) => {
        const written = sent.map((piece) => Buffer.from(piece).toString('base64')).join('');
        const cut: Buffer[] = [];
        for (let at = 0; at < written.length; at += size) {
          cut.push(Buffer.from(written.slice(at, at + size)));
        }
        expect(decodeAll(cut)).toEqual({ bytes: Buffer.concat(sent), isWhole: true });
      }),
    );
  });

  test.for(['=', 'A===', 'AA=A', 'AAA=A===', 'AA A', 'AAA\n', 'AA-_', 'AA\0A', 'AA\xffA'])(
    'does not hold %j',
    (wrong) => {
      for (let at = 0; at <= wrong.length; at += 1) {
        const parts = [wrong.slice(0, at), wrong.slice(at)];
        expect(decodeAll(parts.map((part) => Buffer.from(part, 'latin1')))).toBeUndefined();
      }
    },
  );

  test.for(['A', 'AA', 'AAA', 'AA=', 'AAAAA'])('%s lacks its end', (cut) => {
    expect(decodeAll([Buffer.from(cut)])).toMatchObject({ isWhole: false });
  });
});

test('the last frame has a flag, a length, and a line for each trailer', () => {
  const frame = trailerFrame([
    ['grpc-status', '5'],
    ['x-name', 'é'],
  ]);
  const block = 'grpc-status: 5\r\nx-name: \xe9\r\n';
  expect(frame.toString('latin1')).toBe(`\x80\0\0\0${String.fromCharCode(block.length)}${block}`);
  expect(trailerFrame([])).toEqual(Buffer.from([0x80, 0, 0, 0, 0]));
});

describe('heads', () => {
  test('a request of HTTP/1.1 becomes a call', () => {
    const decoder = new RequestDecoder();
    decoder.push(
      Buffer.from(
        'POST /test.Echo/Unary HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc-web-text\r\n' +
          'Accept: application/grpc-web-text\r\nContent-Length: 8\r\nTE: gzip\r\nConnection: X-Hop\r\n' +
          'X-Hop: 1\r\nX-Kept: 1\r\nGrpc-Timeout: 5S\r\n\r\n',
      ),
    );
    const event = decoder.next();
    const call = grpcWebCall('application/grpc-web-text', undefined);
    if (event.kind !== 'head' || call === undefined) throw new Error('a right head was refused');
    const head = grpcRequestHead(event.head, call, 'http', false);
    expect(head).toMatchObject({ method: 'POST', authority: 'a.test', contentLength: undefined });
    expect([...(head?.headers.entries() ?? [])]).toEqual([
      ['x-kept', '1'],
      ['grpc-timeout', '5S'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ]);
  });

  test('a request without a host is nothing that HTTP/2 could say', () => {
    const decoder = new RequestDecoder();
    decoder.push(Buffer.from('POST /a HTTP/1.0\r\nContent-Length: 8\r\n\r\n'));
    const event = decoder.next();
    const call = grpcWebCall('application/grpc-web', undefined);
    if (event.kind !== 'head' || call === undefined) throw new Error('a right head was refused');
    expect(grpcRequestHead(event.head, call, 'http', false)).toBeUndefined();
  });

  test('a response of its head alone says at its end how the call went', () => {
    const web = grpcWebResponse(
      response('200', [
        ['content-type', 'application/grpc+proto'],
        ['grpc-status', '5'],
        ['x-kept', '1'],
        ['content-length', '0'],
        ['grpc-message', 'no'],
      ]),
      false,
    );
    expect(web?.head).toMatchObject({ status: 200, isWhole: false, contentLength: undefined });
    expect([...(web?.head.headers.entries() ?? [])]).toEqual([
      ['x-kept', '1'],
      ['content-type', 'application/grpc-web+proto'],
    ]);
    expect([...(web?.trailers?.entries() ?? [])]).toEqual([
      ['grpc-status', '5'],
      ['grpc-message', 'no'],
    ]);
  });

  test.for([
    ['503', 'application/grpc'],
    ['200', 'text/html'],
  ] as const)('a response %s of %s is none of gRPC', ([status, type]) => {
    expect(grpcWebResponse(response(status, [['content-type', type]]), false)).toBeUndefined();
  });
});

function decodeAll(pieces: readonly Buffer[]): { bytes: Buffer; isWhole: boolean } | undefined {
  const decoder = new Base64Decoder();
  const decoded: Buffer[] = [];
  for (const piece of pieces) {
    const bytes = decoder.decode(piece);
    if (bytes === undefined) return undefined;
    decoded.push(bytes);
  }
  return { bytes: Buffer.concat(decoded), isWhole: decoder.isWhole };
}

function response(
  status: string,
  pairs: readonly (readonly [name: string, value: string])[],
): Http2ResponseHead {
  const fields = [makeField(':status', status), ...pairs.map((pair) => makeField(...pair))];
  const head = readResponseHead(fields, true);
  if ('scope' in head) throw new Error(head.detail);
  return head;
}

describe('whatever it is given', () => {
  const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
  const value = fc.stringMatching(/^[!-~]([ -~]{0,40}[!-~])?$/);

  test('the last frame says its length, and each field on a line of its own', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(token, value), { maxLength: 20 }), (fields) => {
        const frame = trailerFrame(fields);
        expect(frame[0]).toBe(0x80);
        expect(frame.readUInt32BE(1)).toBe(frame.length - 5);
        const lines = frame.toString('latin1', 5).split('\r\n');
        expect(lines).toEqual([...fields.map(([name, text]) => `${name}: ${text}`), '']);
      }),
    );
  });

  test('a media type is gRPC-Web or it is not, and nothing is thrown', () => {
    const type = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.constantFrom('application/grpc-web', 'application/grpc', 'text/x'), fc.string())
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(type, fc.option(type, { nil: undefined }), (given, accept) => {
        const call = grpcWebCall(given, accept);
        if (call !== undefined) expect(given.toLowerCase()).toMatch(/^application\/grpc-web/);
        grpcWebTypeOf(given, true);
      }),
    );
  });
});
