/** OpenSSL judges what we write, under its strictest rules, and writes what we read. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createCertificateRequest,
  type KeyKind,
  generateKeyPair,
  keySigner,
  parseCertificateRequest,
  parsePemCertificates,
  pemEncode,
  privateKeyToPkcs8Der,
} from '../../pki/index.ts';
import { verifyX509Svid } from '../../spiffe/index.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import { lacks } from '../programs.ts';

const program = 'openssl';

const nowMs = Date.UTC(2026, 10, 22, 12);
let directory = '';

describe.skipIf(lacks(program))('openssl', () => {
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'signet-pki-'));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  const kinds: readonly (readonly [KeyKind, KeyKind])[] = [
    ['ec-p256', 'ec-p256'],
    ['ec-p256', 'rsa-2048'],
    ['ec-p384', 'ec-p384'],
    ['rsa-2048', 'ec-p256'],
  ];
  describe.for(kinds)('authorities of %s, leaf of %s', ([authorityKind, leafKind]) => {
    test.for(['sslserver', 'sslclient'])('the leaf passes for %s', async (purpose) => {
      const { root, issuing, leaf } = await files(authorityKind, leafKind);
      expect(verify(purpose, root, issuing, leaf)).toEqual({ status: 0, text: `${leaf}: OK` });
    });

    test('the authorities pass', async () => {
      const { root, issuing } = await files(authorityKind, leafKind);
      expect(verify('any', root, root, issuing)).toEqual({ status: 0, text: `${issuing}: OK` });
      expect(verify('any', root, root, root)).toEqual({ status: 0, text: `${root}: OK` });
    });

    test('the leaf does not pass under another root', async () => {
      const { issuing, leaf } = await files(authorityKind, leafKind);
      const other = await files(authorityKind, leafKind);
      expect(verify('sslserver', other.root, issuing, leaf).status).toBe(2);
    });
  });

  test('a leaf that ends after 2049 passes', async () => {
    const pki = await makeTestPki({
      nowMs,
      rootLifetimeSeconds: 40 * 365 * 86_400,
      issuingLifetimeSeconds: 39 * 365 * 86_400,
    });
    const leaf = await pki.issueLeaf({ id: '/a', notAfterMs: Date.UTC(2055, 0) });
    const path = write('late.pem', leaf.chainPem);
    expect(verify('sslserver', write('late-root.pem', pki.root.pem), path, path).status).toBe(0);
  });

  test('reads our requests, and we read its own', async () => {
    const { privateKey } = generateKeyPair('ec-p256');
    const ours = await createCertificateRequest(keySigner(privateKey));
    const path = write('ours.csr', pemEncode('CERTIFICATE REQUEST', ours));
    expect(openssl(['req', '-in', path, '-noout', '-verify'])).toMatchObject({ status: 0 });

    const keyPath = write('key.pem', pemEncode('PRIVATE KEY', privateKeyToPkcs8Der(privateKey)));
    const theirs = execFileSync(program, [
      'req',
      '-new',
      '-key',
      keyPath,
      '-subj',
      '/O=Mesh',
      '-outform',
      'DER',
    ]);
    expect(parseCertificateRequest(theirs).keyKind).toBe('ec-p256');
  });

  test('issues a leaf that we verify', () => {
    makeAuthorityAndLeaf(directory);
    const chain = parsePemCertificates(readFileSync(join(directory, 'l.pem'), 'utf8'));
    const anchors = parsePemCertificates(readFileSync(join(directory, 'a.pem'), 'utf8'));
    const atMs = chain[0]?.notBeforeMs ?? 0;
    const [leaf] = chain;
    expect(leaf?.extensions.subjectAltName?.uris).toEqual(['spiffe://mesh.test/theirs']);
    const trustDomain = mesh.trustDomain;
    const bundles = new Map([[trustDomain, { ...mesh.bundle, x509Authorities: anchors }]]);
    expect(verifyX509Svid({ chain, bundles, atMs, purpose: 'clientAuth' })).toMatchObject({
      kind: 'valid',
      id: 'spiffe://mesh.test/theirs',
    });
    expect(verifyX509Svid({ chain, bundles: mesh.bundles, atMs })).toMatchObject({
      code: 'untrusted',
    });
  });
});

const mesh = await makeTestPki({ nowMs });

async function files(
  authorityKind: KeyKind,
  leafKind: KeyKind,
): Promise<Record<'root' | 'issuing' | 'leaf', string>> {
  const pki = await makeTestPki({ nowMs, keyKind: authorityKind });
  const leaf = await pki.issueLeaf({ id: '/a/b', dnsNames: ['a.test'], keyKind: leafKind });
  return {
    root: write('root.pem', pki.root.pem),
    issuing: write('issuing.pem', pki.issuing.pem),
    leaf: write('leaf.pem', pemEncode('CERTIFICATE', leaf.der)),
  };
}

function verify(
  purpose: string,
  root: string,
  untrusted: string,
  path: string,
): { status: number | null; text: string } {
  const strict = ['verify', '-x509_strict', '-check_ss_sig', '-attime', String(nowMs / 1000)];
  return openssl([...strict, '-purpose', purpose, '-CAfile', root, '-untrusted', untrusted, path]);
}

function openssl(args: readonly string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, text: (status === 0 ? stdout : stderr).trim() };
}

let written = 0;

/** Each call makes a file of its own. */
function write(name: string, text: string): string {
  written += 1;
  const path = join(directory, `${written}-${name}`);
  writeFileSync(path, text);
  return path;
}

function makeAuthorityAndLeaf(cwd: string): void {
  const run = (args: readonly string[]): unknown =>
    execFileSync(program, args, { cwd, stdio: 'pipe' });
  const extensions = [
    'subjectAltName=URI:spiffe://mesh.test/theirs',
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    'basicConstraints=critical,CA:FALSE',
  ];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  run([
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'a.key',
    '-out',
    'a.pem',
    '-subj',
    '/O=Theirs',
    '-days',
    '2',
  ]);
  run(['req', ...newKey, '-keyout', 'l.key', '-out', 'l.csr', '-subj', '/O=Leaf']);
  writeFileSync(join(cwd, 'l.cnf'), extensions.join('\n'));
  const sign = [
    'x509',
    '-req',
    '-in',
    'l.csr',
    '-CA',
    'a.pem',
    '-CAkey',
    'a.key',
    '-set_serial',
    '7',
  ];
  run([...sign, '-days', '1', '-extfile', 'l.cnf', '-out', 'l.pem']);
}
