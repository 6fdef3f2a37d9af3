/** OpenSSL judges our revocation lists, and refuses with them whom we revoked. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  issueCrl,
  parsePemCrls,
  pemEncode,
  privateKeyToPkcs8Der,
  type RevokedCertificate,
  whyNotIssuedBy,
} from '../../pki/index.ts';
import { makeTestPki, type TestPki } from '../fakes/test-pki.ts';
import { lacks } from '../programs.ts';

const program = 'openssl';

const nowMs = Date.UTC(2026, 10, 22, 12);

describe.skipIf(lacks(program))('openssl', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'signet-crl-'));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const openssl = (args: readonly string[]): { status: number | null; text: string } => {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    return { status, text: stdout + stderr };
  };
  const crlOf = async (pki: TestPki, revoked: readonly RevokedCertificate[]): Promise<string> =>
    pemEncode(
      'X509 CRL',
      await issueCrl(
        {
          issuer: pki.issuing.certificate.subject,
          issuerKeyId: pki.issuing.certificate.extensions.subjectKeyId ?? new Uint8Array(),
          number: 0x1234n,
          thisUpdateMs: nowMs - 30_000,
          nextUpdateMs: nowMs + 3_600_000,
          revoked,
        },
        pki.issuing.signer,
      ),
    );

  test.for(['ec-p256', 'ec-p384', 'rsa-2048'] as const)('a list of %s', async (keyKind) => {
    const pki = await makeTestPki({ nowMs, keyKind });
    const good = await pki.issueLeaf({ id: '/good' });
    const bad = await pki.issueLeaf({ id: '/bad' });
    const { serial } = bad.certificate;
    const list = write(
      'list.pem',
      await crlOf(pki, [{ serial, revokedAtMs: nowMs, reason: 'keyCompromise' }]),
    );
    const issuing = write('issuing.pem', pki.issuing.pem);
    const root = write('root.pem', pki.root.pem);

    expect(openssl(['crl', '-in', list, '-noout', '-verify', '-CAfile', issuing])).toEqual({
      status: 0,
      text: 'verify OK\n',
    });
    const { text } = openssl(['crl', '-in', list, '-noout', '-text']);
    expect(text).toContain('Version 2');
    expect(text).toMatch(/CRL Number:\s+(0x1234|4660)/);
    expect(text.toLowerCase()).toContain(`serial number: ${serial}`);
    expect(text).toContain('Key Compromise');

    const verify = (leaf: string): { status: number | null; text: string } =>
      openssl(
        `verify -x509_strict -crl_check -attime ${nowMs / 1000} -CAfile ${root} -untrusted ${issuing} -CRLfile ${list} ${leaf}`.split(
          ' ',
        ),
      );
    expect(verify(write('good.pem', good.chainPem)).status).toBe(0);
    const refused = verify(write('bad.pem', bad.chainPem));
    expect(refused.status).not.toBe(0);
    expect(refused.text).toContain('certificate revoked');
  });

  test('an empty list', async () => {
    const pki = await makeTestPki({ nowMs });
    const list = write('empty.pem', await crlOf(pki, []));
    const issuing = write('empty-issuing.pem', pki.issuing.pem);
    const answer = openssl(['crl', '-in', list, '-noout', '-text', '-verify', '-CAfile', issuing]);
    expect(answer.text).toContain('verify OK');
    expect(answer.text).toContain('No Revoked Certificates');
  });

  test('a list that openssl wrote is read', async () => {
    const pki = await makeTestPki({ nowMs });
    const leaf = await pki.issueLeaf({ id: '/web' });
    const key = pemEncode('PRIVATE KEY', privateKeyToPkcs8Der(pki.issuing.privateKey));
    write('index.txt', '');
    write('crlnumber', '0A\n');
    const config = write(
      'ca.cnf',
      [
        '[ca]\ndefault_ca = mesh\n[mesh]',
        `database = ${join(directory, 'index.txt')}`,
        `crlnumber = ${join(directory, 'crlnumber')}`,
        `certificate = ${write('ca.pem', pki.issuing.pem)}`,
        `private_key = ${write('ca.key', key)}`,
        'default_md = sha256\ndefault_crl_days = 1\ncrl_extensions = ext',
        '[ext]\nauthorityKeyIdentifier = keyid:always\n',
      ].join('\n'),
    );
    const revokee = write('leaf.pem', leaf.chainPem);
    const quiet = { stdio: 'ignore' } as const;
    execFileSync(
      program,
      ['ca', '-config', config, '-revoke', revokee, '-crl_reason', 'superseded'],
      quiet,
    );
    const out = join(directory, 'theirs.pem');
    execFileSync(program, ['ca', '-config', config, '-gencrl', '-out', out], quiet);
    const [crl] = parsePemCrls(readFileSync(out, 'utf8'));
    expect(crl?.number).toBe(10n);
    expect(crl?.revoked.get(leaf.certificate.serial)?.reason).toBe('superseded');
    expect(crl === undefined ? 'none' : whyNotIssuedBy(crl, pki.issuing.certificate)).toBe(
      undefined,
    );
  });
});
