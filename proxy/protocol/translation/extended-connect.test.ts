/** An extended CONNECT and the upgrade that it stands for: each is one head, and says nothing that the other did not. */

import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { makeField } from '../http2/field.ts';
import { Http2RequestHead, readRequestHead } from '../http2/request-head.ts';
import { upgradeRequest } from './extended-connect.ts';

const key = Buffer.alloc(16, 1);
const good = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'https'],
  [':path', '/chat'],
  [':authority', 'a.test'],
] as const;

function read(pairs: readonly (readonly [name: string, value: string])[]): unknown {
  return readRequestHead(
    pairs.map((pair) => makeField(...pair)),
    false,
    true,
  );
}

describe('an extended CONNECT', () => {
  test('is the GET that HTTP/1.1 would have made, with a key of ours', () => {
    const head = read([...good, ['sec-websocket-key', 'theirs'], ['x-kept', '1']]);
    if (!(head instanceof Http2RequestHead)) throw new Error('a right head was refused');
    const request = upgradeRequest(head, key);
    if ('kind' in request) throw new Error(request.detail);
    expect(request).toMatchObject({ method: 'GET', path: '/chat', host: 'a.test' });
    expect(request).toMatchObject({ upgrade: 'websocket', framing: { kind: 'none' } });
    expect(request.headers.get('sec-websocket-key')).toBe(key.toString('base64'));
    expect(request.headers.get('x-kept')).toBe('1');
  });

  test('to another protocol has no key', () => {
    const pairs = good.map(
      ([name, value]) => [name, value === 'websocket' ? 'foo' : value] as const,
    );
    const head = read(pairs);
    if (!(head instanceof Http2RequestHead)) throw new Error('a right head was refused');
    const request = upgradeRequest(head, key);
    if ('kind' in request) throw new Error(request.detail);
    expect(request.upgrade).toBe('foo');
    expect(request.headers.has('sec-websocket-key')).toBe(false);
  });

  test.for([
    ['two protocols', [':protocol', 'websocket, foo']],
    ['a protocol with a blank', [':protocol', 'web socket']],
    ['no protocol', [':protocol', '']],
    ['a length', ['content-length', '5']],
    ['a length of nothing', ['content-length', '0']],
  ] as const)('with %s is malformed', ([, [name, value]]) => {
    const rest = good.filter(([each]) => each !== name);
    const [method, ...others] = rest;
    const pairs = name.startsWith(':')
      ? [...(method === undefined ? [] : [method]), [name, value] as const, ...others]
      : [...good, [name, value] as const];
    expect(read(pairs)).toMatchObject({ scope: 'stream' });
    expect(read(good)).toBeInstanceOf(Http2RequestHead);
  });
});
