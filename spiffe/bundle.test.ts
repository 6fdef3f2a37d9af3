import { describe, expect, test } from 'vitest';
import { toBase64 } from '../core/index.ts';
import { generateKeyPair, pemEncode } from '../pki/index.ts';
import vectors from '../test/vectors/spiffe/bundles.json' with { type: 'json' };
import { buildAuthority } from '../test/fakes/build-path.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import type { Bundle } from './bundle.ts';
import { BundleError } from './bundle-error.ts';
import { formatBundle, sequenceMax } from './bundle-format.ts';
import { parseBundle } from './parse-bundle.ts';
import { parseTrustDomain } from './trust-domain.ts';

const mesh = parseTrustDomain('mesh.test');
const authorities = {
  CERT_A: buildAuthority({ name: 'a' }),
  CERT_B: buildAuthority({ name: 'b' }),
};

describe('reading', () => {
  test.for(vectors)('$name', ({ input, expected }) => {
    const text = input
      .replaceAll('CERT_A', toBase64(authorities.CERT_A.der))
      .replaceAll('CERT_B', toBase64(authorities.CERT_B.der));
    expect(outcome(text)).toEqual(expected);
  });

  test('a private key that was published by mistake is not taken in', () => {
    const jwk = generateKeyPair('ec-p256').privateKey.export({ format: 'jwk' });
    const text = JSON.stringify({ keys: [{ use: 'jwt-svid', kid: 'x', ...jwk }] });
    expect(parseBundle(text, mesh).jwtAuthorities[0]?.publicKey.type).toBe('public');
  });

  test('more text than is read', () => {
    expect(outcome(`{"keys":[]${' '.repeat(4 * 1024 * 1024)}}`)).toBe('bundle_size');
  });
});

describe('writing', () => {
  const { publicKey, privateKey } = generateKeyPair('ec-p256');
  const bundle: Bundle = {
    trustDomain: mesh,
    sequence: sequenceMax,
    refreshHintSeconds: 300,
    x509Authorities: [authorities.CERT_A.certificate, authorities.CERT_B.certificate],
    jwtAuthorities: [{ keyId: 'one', publicKey }],
  };

  test('the document has the members of the standard and no others (X-9, J-5)', () => {
    const document: unknown = JSON.parse(formatBundle({ ...bundle, sequence: 7n }));
    const { x, y } = publicKey.export({ format: 'jwk' });
    const entry = (name: keyof typeof authorities): object => ({
      use: 'x509-svid',
      kty: 'EC',
      crv: 'P-256',
      x: expect.any(String),
      y: expect.any(String),
      x5c: [toBase64(authorities[name].der)],
    });
    expect(document).toEqual({
      keys: [
        entry('CERT_A'),
        entry('CERT_B'),
        { use: 'jwt-svid', kid: 'one', kty: 'EC', crv: 'P-256', x, y },
      ],
      spiffe_sequence: 7,
      spiffe_refresh_hint: 300,
    });
  });

  test('what is written reads back, to the last digit of the sequence', () => {
    const read = parseBundle(formatBundle(bundle), mesh);
    expect(read.sequence).toBe(18_446_744_073_709_551_615n);
    expect(read.refreshHintSeconds).toBe(300);
    expect(read.x509Authorities).toEqual(bundle.x509Authorities);
    expect(read.jwtAuthorities[0]?.publicKey.equals(publicKey)).toBe(true);
    expect(formatBundle(read)).toBe(formatBundle(bundle));
  });

  test('RSA authorities too', async () => {
    const pki = await makeTestPki({ nowMs: Date.UTC(2026, 0), keyKind: 'rsa-2048' });
    const read = parseBundle(formatBundle(pki.bundle), mesh);
    expect(read.x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der))).toEqual([
      pki.root.pem,
    ]);
    expect(formatBundle(pki.bundle)).toContain('"kty":"RSA"');
  });

  test('without a refresh hint there is none', () => {
    const { refreshHintSeconds: _, ...rest } = bundle;
    expect(formatBundle(rest)).not.toContain('spiffe_refresh_hint');
  });

  test.for<[name: string, change: Partial<Bundle>, code: string]>([
    ['a negative sequence', { sequence: -1n }, 'bundle_sequence'],
    ['a sequence above 64 bits', { sequence: sequenceMax + 1n }, 'bundle_sequence'],
    ['a refresh hint with a fraction', { refreshHintSeconds: 0.5 }, 'bundle_refresh_hint'],
    ['a negative refresh hint', { refreshHintSeconds: -1 }, 'bundle_refresh_hint'],
    ['a private key', { jwtAuthorities: [{ keyId: 'a', publicKey: privateKey }] }, 'bundle_key'],
    ['a key ID that is empty', { jwtAuthorities: [{ keyId: '', publicKey }] }, 'bundle_key_id'],
    [
      'two keys of one ID',
      {
        jwtAuthorities: [
          { keyId: 'a', publicKey },
          { keyId: 'a', publicKey },
        ],
      },
      'bundle_key_id_duplicate',
    ],
  ])('%s is refused', ([, change, code]) => {
    expect(() => formatBundle({ ...bundle, ...change })).toThrow(expect.objectContaining({ code }));
  });
});

function outcome(text: string): unknown {
  try {
    const bundle = parseBundle(text, mesh);
    const nameOf = (der: Uint8Array): string =>
      toBase64(der) === toBase64(authorities.CERT_A.der) ? 'CERT_A' : 'CERT_B';
    return {
      sequence: String(bundle.sequence),
      refreshHintSeconds: bundle.refreshHintSeconds ?? null,
      x509: bundle.x509Authorities.map(({ der }) => nameOf(der)),
      jwt: bundle.jwtAuthorities.map(({ keyId }) => keyId),
    };
  } catch (error) {
    if (error instanceof BundleError) return error.code;
    throw error;
  }
}
