import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import vectors from '../test/vectors/spiffe/spiffe-ids.json' with { type: 'json' };
import {
  isSpiffeId,
  parseSpiffeId,
  pathOf,
  SpiffeIdError,
  spiffeIdOf,
  trustDomainOf,
} from './spiffe-id.ts';
import { parseTrustDomain, TrustDomainError } from './trust-domain.ts';

test.for(vectors)('$name', ({ input, expected }) => {
  expect(outcome(input)).toEqual(expected);
  expect(isSpiffeId(input)).toBe(typeof expected !== 'string');
});

// The space is small enough to walk: each byte at the begin, inside and at the end of each part.
describe('every one of the 256 byte values', () => {
  const bytes = Array.from({ length: 256 }, (_, value) => String.fromCharCode(value));

  test.for([
    ['first in the trust domain', (byte: string) => `spiffe://${byte}mesh/a`],
    ['inside the trust domain', (byte: string) => `spiffe://me${byte}sh/a`],
    ['last in the trust domain', (byte: string) => `spiffe://mesh${byte}`],
  ] as const)('%s', ([, place]) => {
    for (const byte of bytes) {
      const isAllowed = /[a-z0-9._-]/.test(byte);
      // A slash ends the trust domain instead of standing in it.
      if (byte === '/') continue;
      const expected = isAllowed ? 'ok' : 'spiffe_id_trust_domain_character';
      expect([byte, codeOf(place(byte))]).toEqual([byte, expected]);
    }
  });

  test.for([
    ['first in a segment', (byte: string) => `spiffe://mesh/${byte}a/b`],
    ['inside a segment', (byte: string) => `spiffe://mesh/a${byte}b`],
    ['last in the path', (byte: string) => `spiffe://mesh/a/b${byte}`],
  ] as const)('%s', ([, place]) => {
    for (const byte of bytes) {
      const isAllowed = /[A-Za-z0-9._-]/.test(byte);
      if (byte === '/') continue;
      const expected = isAllowed ? 'ok' : 'spiffe_id_path_character';
      expect([byte, codeOf(place(byte))]).toEqual([byte, expected]);
    }
  });

  test('in place of each character of the scheme', () => {
    const id = 'spiffe://mesh/a';
    for (let index = 0; index < 'spiffe://'.length; index += 1) {
      for (const byte of bytes) {
        const text = id.slice(0, index) + byte + id.slice(index + 1);
        expect([text, codeOf(text)]).toEqual([text, text === id ? 'ok' : 'spiffe_id_scheme']);
      }
    }
  });

  test('as a trust domain of its own', () => {
    for (const byte of bytes) {
      const isAllowed = /[a-z0-9._-]/.test(byte);
      expect([byte, trustDomainCode(byte)]).toEqual([
        byte,
        isAllowed ? 'ok' : 'trust_domain_character',
      ]);
    }
  });
});

describe('IDs made of parts', () => {
  const mesh = parseTrustDomain('mesh.test');

  property.prop([
    fc.stringMatching(/^[a-z0-9._-]{1,255}$/),
    fc.array(fc.stringMatching(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}$/), { maxLength: 20 }),
  ])('come apart again', (name, segments) => {
    const trustDomain = parseTrustDomain(name);
    const path = segments.map((segment) => `/${segment}`).join('');
    const id = spiffeIdOf(trustDomain, path);
    expect(trustDomainOf(id)).toBe(trustDomain);
    expect(pathOf(id)).toBe(path);
    expect(parseSpiffeId(id)).toBe(id);
  });

  property.prop([fc.string({ unit: 'binary', maxLength: 40 })])(
    'from any text are whole or refused',
    (text) => {
      const whole = outcome(`spiffe://${text}`);
      if (typeof whole === 'string') return;
      expect(`${whole.trustDomain}${whole.path}`).toBe(text);
    },
  );

  test.for([
    ['a', 'spiffe_id_path_no_leading_slash'],
    ['/', 'spiffe_id_path_trailing_slash'],
    ['//a', 'spiffe_id_path_empty_segment'],
  ])('path %s is refused', ([path = '', code]) => {
    expect(() => spiffeIdOf(mesh, path)).toThrow(expect.objectContaining({ code }));
  });
});

describe('a trust domain', () => {
  test.for([
    ['mesh.test', 'ok'],
    ['a'.repeat(255), 'ok'],
    ['', 'trust_domain_empty'],
    ['a'.repeat(256), 'trust_domain_length'],
    ['spiffe://mesh.test', 'trust_domain_character'],
    ['mesh.test\n', 'trust_domain_character'],
  ])('%s: %s', ([text = '', expected]) => {
    expect(trustDomainCode(text)).toBe(expected);
  });
});

test('a refusal names the text, but not all of a long one', () => {
  expect(() => parseSpiffeId('https://mesh.test')).toThrow(
    '"https://mesh.test": a SPIFFE ID begins with spiffe://',
  );
  expect(() => parseSpiffeId('x'.repeat(5000))).toThrow(/^.{0,200}$/);
});

function outcome(text: string): { trustDomain: string; path: string } | string {
  try {
    const id = parseSpiffeId(text);
    return { trustDomain: trustDomainOf(id), path: pathOf(id) };
  } catch (error) {
    if (error instanceof SpiffeIdError) return error.code;
    throw error;
  }
}

function codeOf(text: string): string {
  const result = outcome(text);
  return typeof result === 'string' ? result : 'ok';
}

function trustDomainCode(text: string): string {
  try {
    parseTrustDomain(text);
    return 'ok';
  } catch (error) {
    if (error instanceof TrustDomainError) return error.code;
    throw error;
  }
}
