import { describe, expect, test } from 'vitest';
import { encodeBoolean, encodeName, encodeSequence, splitCertificates } from '../pki/index.ts';
import {
  buildCertificate,
  type BuildOptions,
  type Built,
  extension,
} from '../test/fakes/build-certificate.ts';
import {
  buildAuthority,
  extendedKeyUsage,
  keyUsage,
  leafExtensions,
  subjectAltName,
} from '../test/fakes/build-path.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { checkLeaf } from './check-leaf.ts';
import { parseX509Svid } from './x509-svid.ts';

const uri = 'spiffe://mesh.test/a';
const usage = keyUsage('digitalSignature');
const purposes = extendedKeyUsage('serverAuth', 'clientAuth');
const names = subjectAltName({ uris: [uri] });
const root = buildAuthority({ name: 'root' });

describe('a leaf', () => {
  const isCa = extension('2.5.29.19', true, encodeSequence(encodeBoolean(true)));
  const isNoCa = extension('2.5.29.19', true, encodeSequence());
  const plainUsage = extension('2.5.29.15', false, Uint8Array.of(3, 2, 7, 0x80));
  const withUris = (...uris: string[]): Partial<BuildOptions> => ({
    extensions: [usage, purposes, subjectAltName({ uris })],
  });

  test.for<[name: string, options: Partial<BuildOptions>, expected: string]>([
    ['as the standard wants it', { extensions: [usage, purposes, names] }, 'ok'],
    //
    [
      'with DNS names beside the URI',
      {
        extensions: [
          usage,
          purposes,
          subjectAltName({ uris: [uri], dnsNames: ['a.test', 'b.test'] }),
        ],
      },
      'ok',
    ],
    ['without extensions', {}, 'svid_uri_count'],
    [
      'without a URI',
      { extensions: [usage, purposes, subjectAltName({ dnsNames: ['a.test'] })] },
      'svid_uri_count',
    ],
    ['with two URIs', withUris(uri, 'spiffe://mesh.test/b'), 'svid_uri_count'],
    ['with the same URI twice', withUris(uri, uri), 'svid_uri_count'],
    ['with another URI beside it', withUris(uri, 'https://mesh.test'), 'svid_uri_count'],
    //
    ['of another scheme', withUris('https://mesh.test/a'), 'svid_id'],
    ['with an ID that is not valid', withUris('spiffe://mesh.test/a/'), 'svid_id'],
    ['with the ID of a trust domain', withUris('spiffe://mesh.test'), 'svid_no_path'],
    [
      'without a subject and with a plain SAN',
      { subject: encodeName({}), extensions: [usage, purposes, names] },
      'svid_san_not_critical',
    ],
    [
      'without a subject and with a critical SAN',
      {
        subject: encodeName({}),
        extensions: [usage, purposes, subjectAltName({ uris: [uri] }, true)],
      },
      'ok',
    ],
    //
    ['that says it is no authority', { extensions: [isNoCa, usage, purposes, names] }, 'ok'],
    ['that is an authority', { extensions: [isCa, usage, purposes, names] }, 'svid_is_ca'],
    ['without key usage', { extensions: [purposes, names] }, 'svid_key_usage'],
    [
      'with key usage that is not critical',
      { extensions: [plainUsage, purposes, names] },
      'svid_key_usage',
    ],
    [
      'that may not sign',
      { extensions: [keyUsage('keyAgreement'), purposes, names] },
      'svid_key_usage',
    ],
    [
      'that may also agree on keys',
      {
        extensions: [
          keyUsage('digitalSignature', 'keyEncipherment', 'keyAgreement'),
          purposes,
          names,
        ],
      },
      'ok',
    ],
    [
      'that may sign certificates',
      { extensions: [keyUsage('digitalSignature', 'keyCertSign'), purposes, names] },
      'svid_key_usage',
    ],
    [
      'that may sign revocation lists',
      { extensions: [keyUsage('digitalSignature', 'cRLSign'), purposes, names] },
      'svid_key_usage',
    ],
    //
    ['without purposes', { extensions: [usage, names] }, 'ok'],
    [
      'with one more purpose',
      { extensions: [usage, extendedKeyUsage('serverAuth', 'any', 'clientAuth'), names] },
      'ok',
    ],
    [
      'for servers alone',
      { extensions: [usage, extendedKeyUsage('serverAuth'), names] },
      'svid_purpose',
    ],
    [
      'for clients alone',
      { extensions: [usage, extendedKeyUsage('clientAuth'), names] },
      'svid_purpose',
    ],
  ])('%s', ([, options, expected]) => {
    const leaf = build(options);
    const verdict = checkLeaf(leaf.certificate);
    expect(verdict.kind === 'refused' ? verdict.code : verdict.kind).toBe(expected);
    if (verdict.kind === 'ok') {
      expect(verdict.id).toBe(uri);
      expect(parseX509Svid([leaf.der]).id).toBe(uri);
    } else {
      const refused = expect.objectContaining({ code: expected, message: verdict.detail });
      expect(() => parseX509Svid([leaf.der])).toThrow(refused);
    }
  });

  function build(options: Partial<BuildOptions>): Built {
    return buildCertificate({ name: 'leaf', issuer: root, ...options });
  }
});

describe('a chain', () => {
  const leaf = buildCertificate({ name: 'leaf', issuer: root, extensions: leafExtensions(uri) });

  test('keeps the order in which it came', async () => {
    const pki = await makeTestPki({ nowMs: Date.UTC(2026, 0) });
    const issued = await pki.issueLeaf({ id: '/a' });
    const svid = parseX509Svid(splitCertificates(issued.concatenatedDer));
    expect(svid.id).toBe(uri);
    expect(svid.chain).toEqual(issued.chain);
  });

  test.for<[name: string, chain: readonly Uint8Array[], code: string]>([
    ['of nothing', [], 'svid_empty'],
    ['of something else', [Uint8Array.of(5, 0)], 'svid_certificate'],
    ['with something else behind the leaf', [leaf.der, Uint8Array.of(5, 0)], 'svid_certificate'],
    ['that begins with the authority', [root.der, leaf.der], 'svid_uri_count'],
  ])('%s is refused', ([, chain, code]) => {
    expect(() => parseX509Svid(chain)).toThrow(expect.objectContaining({ code }));
  });
});
