import { expect, test } from 'vitest';
import { FieldList } from '../protocol/http2/field-list.ts';
import { makeField } from '../protocol/http2/field.ts';
import { grpcAnswer, grpcTimeoutMs, grpcTrailers } from './grpc.ts';

const headers = (value: string): FieldList => new FieldList([makeField('grpc-timeout', value)], 0);

test.for([
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['3S', 3000],
  ['99999999m', 99_999_999],
  ['500u', 0.5],
  ['0n', 0],
  ['100000000S', undefined],
  ['S', undefined],
  ['1s', undefined],
  ['-1S', undefined],
  ['1.5S', undefined],
  ['', undefined],
] as const)('the timeout %s', ([text, expected]) => {
  expect(grpcTimeoutMs(headers(text))).toBe(expected);
});

test('a message is ASCII, with all else as its bytes in hexadecimal', () => {
  const { status, fields, body } = grpcAnswer({ status: 503, text: '50% of "é" ~ gone\n' });
  expect({ status, body }).toEqual({ status: 200, body: '' });
  expect(Object.fromEntries(fields)).toEqual({
    'content-type': 'application/grpc',
    'grpc-status': '14',
    'grpc-message': '50%25 of "%C3%A9" ~ gone%0A',
  });
});

test('the same stands in trailers, behind a response that had begun', () => {
  const trailers = grpcTrailers({ status: 404, text: 'no route' });
  expect([...trailers.entries()]).toEqual([
    ['grpc-status', '12'],
    ['grpc-message', 'no route'],
  ]);
});

test.for([
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [408, 4],
  [413, 8],
  [414, 8],
  [429, 14],
  [431, 8],
  [501, 12],
  [502, 14],
  [503, 14],
  [504, 4],
  [500, 13],
] as const)('what is %i in HTTP is %i in gRPC', ([status, code]) => {
  expect(grpcTrailers({ status, text: 'x' }).get('grpc-status')).toBe(String(code));
});
