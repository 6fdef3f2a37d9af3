import { Buffer } from 'node:buffer';
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { bundleSetOf, type JwtAuthority } from './bundle.ts';
import { formatBundle } from './bundle-format.ts';
import { jwtAlgorithms } from './jwt-algorithm.ts';
import { verifyJwtSvid } from './jwt-svid.ts';
import { parseBundle } from './parse-bundle.ts';
import { parseTrustDomain } from './trust-domain.ts';

const mesh = parseTrustDomain('mesh.test');
const atMs = Date.parse('2026-11-22T12:00:00Z');
const seconds = atMs / 1000;

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const keys: Readonly<Record<string, { publicKey: KeyObject; privateKey: KeyObject }>> = {
  RS: rsa,
  PS: rsa,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
};
const keyIdOf = (alg: string): string => (alg.startsWith('ES') ? alg : alg.slice(0, 2));
const authorities: JwtAuthority[] = Object.entries(keys).map(([keyId, { publicKey }]) => ({
  keyId,
  publicKey,
}));
// Through its document, so that what was written and read again is what verifies (J-5).
const bundles = bundleSetOf([
  parseBundle(
    formatBundle({
      trustDomain: mesh,
      sequence: 1n,
      x509Authorities: [],
      jwtAuthorities: authorities,
    }),
    mesh,
  ),
]);

interface Claims {
  readonly [name: string]: unknown;
}
const good: Claims = {
  sub: 'spiffe://mesh.test/web',
  aud: ['orders'],
  iat: seconds,
  exp: seconds + 300,
};

function make(
  claims: Claims = good,
  header: Readonly<Record<string, unknown>> = {},
  alg = 'ES256',
): Promise<string> {
  const key = keys[keyIdOf(alg)];
  if (key === undefined) throw new Error(`no key for ${alg}`);
  return new SignJWT(claims)
    .setProtectedHeader({ alg, kid: keyIdOf(alg), typ: 'JWT', ...header })
    .sign(key.privateKey);
}

function outcome(token: string, at = atMs): string {
  const verdict = verifyJwtSvid({ token, audience: 'orders', bundles, atMs: at });
  return verdict.kind === 'valid' ? 'valid' : verdict.code;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

test.for(jwtAlgorithms)('%s, signed by another implementation', async (alg) => {
  const verdict = verifyJwtSvid({
    token: await make(good, {}, alg),
    audience: 'orders',
    bundles,
    atMs,
  });
  expect(verdict).toEqual({
    kind: 'valid',
    id: 'spiffe://mesh.test/web',
    audience: ['orders'],
    expiresAtMs: atMs + 300_000,
    keyId: keyIdOf(alg),
    claims: good,
  });
});

describe('the header', () => {
  const headers: [string, Record<string, unknown>, string][] = [
    ['typ JOSE', { typ: 'JOSE' }, 'valid'],
    ['no typ', { typ: undefined }, 'valid'],
    ['another typ', { typ: 'at+jwt' }, 'jwt_header'],
    ['a key of its own', { jwk: {} }, 'jwt_header'],
    ['any other member', { x5t: 'a' }, 'jwt_header'],
    ['no kid', { kid: undefined }, 'jwt_key_id'],
    ['an empty kid', { kid: '' }, 'jwt_key_id'],
    ['an unknown kid', { kid: 'nobody' }, 'jwt_authority'],
    ['another key of the bundle', { kid: 'ES384' }, 'jwt_algorithm'],
  ];
  test.for(headers)('%s', async ([, header, expected]) => {
    expect(outcome(await make(good, header))).toBe(expected);
  });

  test.for(['none', 'HS256', 'EdDSA', 'es256', 'ES256K'])('alg %s is refused', async (alg) => {
    const [, claims, signature] = (await make()).split('.');
    expect(outcome(`${encode({ alg, kid: 'ES256' })}.${claims}.${signature}`)).toBe(
      'jwt_algorithm',
    );
  });
});

describe('the claims', () => {
  const cases: [string, Claims, string][] = [
    ['one audience that stands alone', { aud: 'orders' }, 'valid'],
    ['one of several audiences', { aud: ['a', 'orders'] }, 'valid'],
    ['no audience', { aud: undefined }, 'jwt_audience'],
    ['an empty list of audiences', { aud: [] }, 'jwt_audience'],
    ['an audience that is no text', { aud: ['orders', 1] }, 'jwt_audience'],
    ['another audience', { aud: ['order'] }, 'jwt_audience'],
    ['no subject', { sub: undefined }, 'jwt_subject'],
    ['a subject that is no SPIFFE ID', { sub: 'web' }, 'jwt_subject'],
    ['a trust domain nobody knows', { sub: 'spiffe://other.test/web' }, 'jwt_trust_domain'],
    ['no end', { exp: undefined }, 'jwt_claims'],
    ['an end that is no number', { exp: '99999999999' }, 'jwt_claims'],
    ['an end of now', { exp: seconds }, 'jwt_expired'],
    ['an end a second from now', { exp: seconds + 1 }, 'valid'],
    ['a beginning still to come', { nbf: seconds + 1 }, 'jwt_not_yet'],
    ['a beginning of now', { nbf: seconds }, 'valid'],
    ['a beginning that is no number', { nbf: 'now' }, 'jwt_claims'],
  ];
  test.for(cases)('%s', async ([, changed, expected]) => {
    expect(outcome(await make({ ...good, ...changed }))).toBe(expected);
  });

  test('leeway is for clocks that differ, both ways', async () => {
    const token = await make({ ...good, nbf: seconds + 5 });
    const at = (leewayMs: number, now: number): string =>
      verifyJwtSvid({ token, audience: 'orders', bundles, atMs: now, leewayMs }).kind;
    expect([at(5000, atMs), at(4999, atMs)]).toEqual(['valid', 'refused']);
    expect([at(5000, atMs + 304_999), at(5000, atMs + 305_000)]).toEqual(['valid', 'refused']);
  });
});

describe('the form', () => {
  test('what is not three parts of base64url', async () => {
    const token = await make();
    const [header = '', claims = '', signature = ''] = token.split('.');
    const outcomes = [
      '',
      `${token}.`,
      `${token}.a.b`,
      `${header}.${claims}`,
      `${header}.${claims}.`,
      `${header}.${claims}.${signature}=`,
      `${header}.${claims}.${signature.slice(0, -1)}_`,
      `.${claims}.${signature}`,
      `${encode([])}.${claims}.${signature}`,
      `${header}.${encode('text')}.${signature}`,
      JSON.stringify({ payload: claims, signatures: [{ protected: header, signature }] }),
    ].map((text) => outcome(text));
    expect(new Set(outcomes)).toEqual(new Set(['jwt_form']));
    expect(outcome('a'.repeat(17_000))).toBe('jwt_size');
  });

  test('a key under 2048 bits verifies nothing', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const [header, claims] = (await make(good, {}, 'RS256')).split('.');
    const verdict = verifyJwtSvid({
      token: `${header}.${claims}.${randomBytes(128).toString('base64url')}`,
      audience: 'orders',
      bundles: bundleSetOf([
        {
          trustDomain: mesh,
          sequence: 1n,
          x509Authorities: [],
          jwtAuthorities: [{ keyId: 'RS', publicKey: weak.publicKey }],
        },
      ]),
      atMs,
    });
    expect(verdict).toMatchObject({ kind: 'refused', code: 'jwt_algorithm' });
  });

  test('the DER signature of X.509 is none of JOSE', async () => {
    const key = keys['ES256'];
    if (key === undefined) throw new Error('no key');
    const [header, claims] = (await make()).split('.');
    const der = sign('sha256', Buffer.from(`${header}.${claims}`), key.privateKey).toString(
      'base64url',
    );
    expect(outcome(`${header}.${claims}.${der}`)).toBe('jwt_signature');
  });
});

test('no changed character of a token is accepted', async () => {
  const token = await make();
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.integer({ min: 1, max: 127 }), (index, change) => {
      const code = token.charCodeAt(index) ^ change;
      const changed = token.slice(0, index) + String.fromCharCode(code) + token.slice(index + 1);
      expect(outcome(changed)).not.toBe('valid');
    }),
    { numRuns: 300 },
  );
});

test('whatever text comes, the answer is a refusal', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (header, claims, signature) => {
      expect(outcome(`${header}.${claims}.${signature}`)).not.toBe('valid');
    }),
  );
});
