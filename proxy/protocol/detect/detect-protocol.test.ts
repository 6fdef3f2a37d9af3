import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { detectProtocol, protocolOfAlpn } from './detect-protocol.ts';
import { http1Codec } from '../http1/http1-codec.ts';
import { http2Codec } from '../http2/http2-codec.ts';
import { detectBytesMax } from './protocol-matcher.ts';

const table = [http2Codec, http1Codec];

function detected(text: string): string {
  const detection = detectProtocol(table, Buffer.from(text, 'latin1'));
  return detection.kind === 'detected' ? detection.matcher.name : detection.kind;
}

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

describe('by the first bytes', () => {
  test.for([
    ['a request', 'GET / HTTP/1.1\r\n', 'http1'],
    ['a request with more behind it', 'POST /a?b HTTP/1.1\r\nHost: a\r\n\r\nx', 'http1'],
    ['a request of HTTP/1.0', 'HEAD / HTTP/1.0\r\n', 'http1'],
    ['a method that nobody registered', 'BREW /pot HTTP/1.1\r\n', 'http1'],
    ['a request that is wrong in its details', 'GET  /  HTTP/1.99\r\n', 'http1'],
    ['a request with bare line feeds', 'GET / HTTP/1.1\n', 'http1'],
    ['CONNECT', 'CONNECT db:5432 HTTP/1.1\r\n', 'http1'],
    ['the preface of HTTP/2', preface, 'http2'],
    ['the preface with a frame behind it', `${preface}\0\0\0\x04\0\0\0\0\0`, 'http2'],
    ['nearly the preface', 'PRI * HTTP/2.0\r\n\r\nXX', 'unknown'],
    ['a command of Redis', 'GET key\r\n', 'unknown'],
    ['RESP', '*1\r\n$4\r\nPING\r\n', 'unknown'],
    ['SMTP', 'EHLO client.test\r\n', 'unknown'],
    ['a ClientHello', '\x16\x03\x01\x02\x00', 'unknown'],
    ['PostgreSQL', '\0\0\0\x08\x04\xd2\x16\x2f', 'unknown'],
    ['HTTP/0.9', 'GET /\r\n', 'unknown'],
    ['an empty line', '\r\n', 'unknown'],
    ['a first word that is too long', 'x'.repeat(33), 'unknown'],
    ['nothing', '', 'need_more'],
    ['a beginning of both', 'P', 'need_more'],
    ['a line without its end', 'GET /index.html HTTP/1.', 'need_more'],
    ['a line without its line feed', 'GET / HTTP/1.1\r', 'need_more'],
    ['a target that does not end', `GET /${'x'.repeat(detectBytesMax)}`, 'unknown'],
  ] as const)('%s: %s', ([, text, expected]) => {
    expect(detected(text)).toBe(expected);
    // Byte by byte the answer comes at some point, and never is another one before.
    for (let length = 1; length < Math.min(text.length, 100); length += 1) {
      expect(['need_more', expected]).toContain(detected(text.slice(0, length)));
    }
  });

  test('an earlier row decides, however the later ones see it', () => {
    const all = { name: 'all', alpn: undefined, match: () => 'yes' as const };
    const none = { name: 'none', alpn: undefined, match: () => 'need_more' as const };
    expect(detectProtocol([all, none], Buffer.from('x'))).toEqual({
      kind: 'detected',
      matcher: all,
    });
    expect(detectProtocol([none, all], Buffer.from('x'))).toEqual({ kind: 'need_more' });
  });
});

test('ALPN settles it, where it names what is in the table', () => {
  expect(protocolOfAlpn(table, 'h2')).toBe(http2Codec);
  expect(protocolOfAlpn(table, 'http/1.1')).toBe(http1Codec);
  expect(protocolOfAlpn(table, 'redis/1')).toBe(undefined);
  expect(protocolOfAlpn(table, undefined)).toBe(undefined);
});

test('whatever comes, an answer stands: more bytes do not take back a yes or a no', () => {
  const beginnings = ['', 'GET ', 'GET / HTTP/1.1\r\n', preface, preface.slice(0, 10), '\x16\x03'];
  fc.assert(
    fc.property(
      fc.constantFrom(...beginnings),
      fc.uint8Array({ maxLength: 30 }),
      (beginning, rest) => {
        const text = beginning + Buffer.from(rest).toString('latin1');
        const whole = detected(text);
        const early = Array.from(text, (_, length) => detected(text.slice(0, length)));
        const first = early.find((answer) => answer !== 'need_more') ?? whole;
        expect(whole).toBe(first);
      },
    ),
  );
});
