import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { encodeRequestHead, encodeResponseHead } from './encode-head.ts';
import type { RequestHeadEdits, ResponseHeadEdits } from './head-edits.ts';
import { framingToward } from './message-framing.ts';
import { RequestDecoder } from './request-decoder.ts';
import type { RequestHead } from './request-head.ts';
import { ResponseDecoder } from './response-decoder.ts';
import type { ResponseHead } from './response-head.ts';

describe('a forwarded request', () => {
  const cases: readonly {
    readonly name: string;
    readonly input: string;
    readonly edits?: RequestHeadEdits;
    readonly expected: string;
  }[] = [
    {
      name: 'keeps its lines byte for byte (RFC 9110 §5.1)',
      input: 'GET /a?b HTTP/1.1\r\nhOST:a\r\nA:\t1 \r\nB: \xff\r\na: 2\r\n\r\n',
      expected: 'GET /a?b HTTP/1.1\r\nhOST:a\r\nA:\t1 \r\nB: \xff\r\na: 2\r\n\r\n',
    },
    {
      name: 'loses the fields of its connection and those it names (RFC 9110 §7.6.1)',
      input:
        'GET / HTTP/1.1\r\nConnection: close, X-Hop\r\nHost: a\r\nx-hop: 1\r\nKeep-Alive: timeout=5\r\nX-Hop: 2\r\nA: 1\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\r\n',
      expected: 'GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n',
    },
    {
      name: 'keeps TE only for trailers, and names it (RFC 9110 §10.1.4)',
      input: 'GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\n\r\n',
      expected: 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n',
    },
    {
      name: 'loses a TE without trailers',
      input: 'GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5\r\n\r\n',
      expected: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    },
    {
      name: 'states chunked anew (RFC 9112 §6.1)',
      input: 'POST / HTTP/1.1\r\ntransfer-encoding: CHUNKED\r\nHost: a\r\n\r\n',
      expected: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    {
      name: 'keeps its length',
      input: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
      expected: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    },
    {
      name: 'loses the empty line before it',
      input: '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
      expected: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    },
    {
      name: 'asks in origin-form (RFC 9112 §3.2.1)',
      input: 'GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n',
      expected: 'GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n',
    },
    {
      name: 'speaks HTTP/1.1 and has a Host (RFC 9110 §2.5, RFC 9112 §3.2)',
      input: 'GET / HTTP/1.0\r\nA: 1\r\n\r\n',
      expected: 'GET / HTTP/1.1\r\nHost: \r\nA: 1\r\n\r\n',
    },
    {
      name: 'takes its Host from the target where the client sent none',
      input: 'GET http://b.test/ HTTP/1.0\r\n\r\n',
      expected: 'GET / HTTP/1.1\r\nHost: b.test\r\n\r\n',
    },
    {
      name: 'is edited',
      input: 'GET /a HTTP/1.1\r\nX-Id: 1\r\nHost: a\r\nx-id: 2\r\nX-Old: 3\r\nB: 4\r\n\r\n',
      edits: {
        set: [['x-id', '9']],
        add: [
          ['B', '5'],
          ['C', ''],
        ],
        remove: ['X-OLD', 'absent'],
        target: '/b?c',
        host: 'b:80',
        connection: 'close',
      },
      expected:
        'GET /b?c HTTP/1.1\r\nHost: b:80\r\nB: 4\r\nx-id: 9\r\nB: 5\r\nC: \r\nConnection: close\r\n\r\n',
    },
    {
      name: 'carries no forged twin of a field that we state or take away (RFC 3875 §4.1.18)',
      input: 'GET / HTTP/1.1\r\nHost: a\r\nX_Id: forged\r\nx-A_b: forged\r\nX_Ids: 1\r\n\r\n',
      edits: { set: [['X-Id', 'ours']], remove: ['x-a-b'] },
      expected: 'GET / HTTP/1.1\r\nHost: a\r\nX_Ids: 1\r\nX-Id: ours\r\n\r\n',
    },
    {
      name: 'keeps a field that the client named in Connection if we set it',
      input: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: x-id\r\nX-Id: forged\r\n\r\n',
      edits: { set: [['X-Id', 'ours']] },
      expected: 'GET / HTTP/1.1\r\nHost: a\r\nX-Id: ours\r\n\r\n',
    },
  ];

  test('offers the protocols it is told, and names Upgrade in Connection (RFC 9110 §7.8)', () => {
    const input =
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo, websocket\r\nTE: trailers\r\n\r\n';
    const head = requestHead(input);
    expect(encodeRequestHead(head, { upgrade: 'websocket' }).toString('latin1')).toBe(
      'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: websocket\r\nConnection: TE, Upgrade\r\n\r\n',
    );
  });

  test.for(cases)('$name', ({ input, edits, expected }) => {
    expect(encodeRequestHead(requestHead(input), edits).toString('latin1')).toBe(expected);
  });

  test('refuses edits that would break it, and takes their harmless twins', () => {
    const head = requestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const pairs: readonly (readonly [RequestHeadEdits, RequestHeadEdits, string])[] = [
      [{ set: [['A', 'b\r\nC: d']] }, { set: [['A', 'b C: d']] }, 'field_value_invalid'],
      [{ add: [['A', 'b\0']] }, { add: [['A', 'b\t']] }, 'field_value_invalid'],
      [{ add: [['A', '\u0100']] }, { add: [['A', '\u00ff']] }, 'field_value_invalid'],
      [{ add: [['A:', 'b']] }, { add: [['A', ':b']] }, 'field_name_invalid'],
      [{ set: [['', 'b']] }, { set: [['x', 'b']] }, 'field_name_invalid'],
      [{ remove: ['A B'] }, { remove: ['A-B'] }, 'field_name_invalid'],
      [{ set: [['Content-Length', '1']] }, { set: [['Content-Type', '1']] }, 'field_name_reserved'],
      [{ remove: ['Transfer-Encoding'] }, { remove: ['Accept'] }, 'field_name_reserved'],
      [{ set: [['Content_Length', '1']] }, { set: [['Content_Type', '1']] }, 'field_name_reserved'],
      [{ add: [['hOst', 'b']] }, { add: [['hOsts', 'b']] }, 'field_name_reserved'],
      [{ target: '/a b' }, { target: '/a%20b' }, 'target_invalid'],
      [{ target: '' }, { target: '/' }, 'target_invalid'],
      [{ host: 'a/b' }, { host: 'a.b' }, 'host_invalid'],
      [{ upgrade: 'a b' }, { upgrade: 'a/1, b' }, 'upgrade_invalid'],
      [{ upgrade: 'a\r\nB: c' }, { upgrade: 'a' }, 'upgrade_invalid'],
      [{ upgrade: '' }, { upgrade: 'websocket' }, 'upgrade_invalid'],
    ];
    for (const [refused, accepted, code] of pairs) {
      expect(() => encodeRequestHead(head, refused)).toThrow(expect.objectContaining({ code }));
      expect(() => encodeRequestHead(head, accepted)).not.toThrow();
    }
  });
});

describe('a forwarded response', () => {
  const cases: readonly {
    readonly name: string;
    readonly input: string;
    readonly method?: string;
    readonly edits?: ResponseHeadEdits;
    readonly toward?: 0 | 1;
    readonly expected: string;
  }[] = [
    {
      name: 'keeps its lines byte for byte',
      input:
        'HTTP/1.1 299 Fine \xe9\r\nset-cookie: a\r\nSet-Cookie:b \r\nContent-Length: 1\r\n\r\n',
      expected:
        'HTTP/1.1 299 Fine \xe9\r\nset-cookie: a\r\nSet-Cookie:b \r\nContent-Length: 1\r\n\r\n',
    },
    {
      name: 'loses the fields of its connection',
      input:
        'HTTP/1.1 200 OK\r\nConnection: close, x-a\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n',
      expected: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    },
    {
      name: 'speaks HTTP/1.1 and has a space before its reason',
      input: 'HTTP/1.0 200\r\nContent-Length: 0\r\n\r\n',
      expected: 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n',
    },
    {
      name: 'states chunked anew',
      input: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n',
      toward: 1,
      expected: 'HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    {
      name: 'closes towards HTTP/1.0 instead of sending chunks (RFC 9112 §7.1)',
      input: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      toward: 0,
      expected: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n',
    },
    {
      name: 'sends chunks towards HTTP/1.1 instead of closing',
      input: 'HTTP/1.0 200 OK\r\n\r\n',
      toward: 1,
      expected: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    {
      name: 'says that only the close ends it',
      input: 'HTTP/1.1 200 OK\r\n\r\n',
      expected: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n',
    },
    {
      name: 'loses its length when it is sent in chunks',
      input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\n\r\n',
      edits: { framing: { kind: 'chunked' } },
      expected: 'HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    {
      name: 'keeps the length it has for HEAD and loses the coding (RFC 9110 §9.3.2)',
      input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      method: 'HEAD',
      toward: 1,
      expected: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    },
    {
      name: 'has no length with 204 (RFC 9110 §8.6)',
      input: 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: 1\r\n\r\n',
      expected: 'HTTP/1.1 204 No Content\r\nA: 1\r\n\r\n',
    },
    {
      name: 'has its length with 304',
      input: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      expected: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    },
    {
      name: 'is interim',
      input: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
      expected: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
    },
    {
      name: 'has no length where CONNECT opens a tunnel (RFC 9110 §9.3.6)',
      input: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\n\r\n',
      method: 'CONNECT',
      toward: 1,
      expected: 'HTTP/1.1 200 OK\r\nA: 1\r\n\r\n',
    },
    {
      name: 'is edited',
      input: 'HTTP/1.1 200 OK\r\nServer: a\r\nA: 1\r\nContent-Length: 0\r\n\r\n',
      edits: { remove: ['server'], set: [['A', '2']], connection: 'keep-alive' },
      expected: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 2\r\nConnection: keep-alive\r\n\r\n',
    },
  ];

  test.for(cases)('$name', ({ input, method, edits = {}, toward, expected }) => {
    const head = responseHead(input, method);
    const framing = toward === undefined ? {} : { framing: framingToward(head.framing, toward) };
    expect(encodeResponseHead(head, { ...edits, ...framing }).toString('latin1')).toBe(expected);
  });

  test('refuses a framing for a body that will not come, and a length it does not have', () => {
    const bodiless = responseHead('HTTP/1.1 204 No Content\r\n\r\n');
    const sized = responseHead('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');
    const code = 'framing_impossible';
    expect(() => encodeResponseHead(bodiless, { framing: { kind: 'chunked' } })).toThrow(
      expect.objectContaining({ code }),
    );
    expect(() => encodeResponseHead(sized, { framing: { kind: 'length', length: 6 } })).toThrow(
      expect.objectContaining({ code }),
    );
    expect(() => encodeResponseHead(sized, { framing: { kind: 'until_close' } })).not.toThrow();
  });
});

function requestHead(text: string): RequestHead {
  const decoder = new RequestDecoder();
  decoder.push(Buffer.from(text, 'latin1'));
  const event = decoder.next();
  if (event.kind !== 'head') throw new Error(`${event.kind} instead of a head`);
  return event.head;
}

function responseHead(text: string, method = 'GET'): ResponseHead {
  const decoder = new ResponseDecoder();
  decoder.expect(method);
  decoder.push(Buffer.from(text, 'latin1'));
  const event = decoder.next();
  if (event.kind !== 'head') throw new Error(`${event.kind} instead of a head`);
  return event.head;
}
