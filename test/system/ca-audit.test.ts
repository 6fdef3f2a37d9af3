/** The audit log of a CA that runs and one that is gone: asked, proven and archived with the commands. */

import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import { CaFixture, signed } from './ca-fixture.ts';
import { type CommandResult, runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

let mesh: CaFixture;
let serial: string;
let node: string;
let pem: string;
let auditor: string;

beforeAll(async () => {
  mesh = await CaFixture.begin();
  const joined = await mesh.join();
  node = joined.spiffeId;
  const entryId = await mesh.webEntry(joined);
  const chain = await signed(joined, entryId);
  const [leaf = new Uint8Array()] = chain;
  serial = parseCertificate(leaf).serial;
  pem = pemEncode('CERTIFICATE', leaf);
  // Kept where the CA cannot write: its key, and what it signed so far.
  auditor = join(mesh.directory, '..', `${mesh.directory.split('/').at(-1)}-auditor`);
  await mkdir(auditor);
  await writeFile(join(auditor, 'key'), await readFile(join(audit(), 'verifier.pub')));
});

afterAll(async () => {
  await mesh.end();
  await rm(auditor, { recursive: true });
});

const program = 'openssl';
const audit = (): string => join(mesh.directory, 'audit');

async function signet(...args: string[]): Promise<CommandResult> {
  return runSignet(['audit', ...args]);
}

const fromFiles = (...args: string[]): Promise<CommandResult> =>
  signet(...args, '--data', mesh.directory);
const overSocket = (...args: string[]): Promise<CommandResult> =>
  signet(...args, '--socket', mesh.ca.adminSocket);

test('the files and the running CA answer alike', async () => {
  for (const question of [
    ['tail', '-n', '5'],
    ['query', '--type', 'node.*', 'svid.issued', '--node', node],
    ['query', '--spiffe-id', 'spiffe://mesh.test/web', '--actor', node, '-o', 'json'],
  ]) {
    const [files, socket] = await Promise.all([fromFiles(...question), overSocket(...question)]);
    expect(files.stderr + socket.stderr).toBe('');
    expect(files.stdout).toBe(socket.stdout);
    expect(files.stdout).not.toBe('');
  }
});

test.skipIf(lacks('openssl'))(
  'the record of a certificate says what openssl reads off it',
  async () => {
    const openssl = (...args: string[]): string =>
      execFileSync(program, ['x509', '-noout', ...args], { input: pem, encoding: 'utf8' });
    const { stdout } = await fromFiles('query', '--serial', serial, '-o', 'json');
    const { certificate } = z
      .object({ certificate: z.record(z.string(), z.unknown()) })
      .parse(JSON.parse(stdout));
    const names = openssl('-ext', 'subjectAltName').split('\n')[1]?.trim().split(', ') ?? [];
    expect(names).toEqual([`URI:${String(certificate['spiffeId'])}`, 'DNS:web']);
    expect(certificate['dnsNames']).toEqual(['web']);
    const [notBefore, notAfter] = openssl('-dates', '-dateopt', 'iso_8601')
      .trim()
      .split('\n')
      .map((line) => new Date(line.split('=')[1] ?? '').toISOString());
    expect(certificate).toMatchObject({ notBefore, notAfter });
    // The first member of a certificate is what was signed (RFC 5280 §4.1), four octets into it.
    const tbs = join(auditor, 'tbs.der');
    execFileSync(program, ['asn1parse', '-strparse', '4', '-noout', '-out', tbs], { input: pem });
    const tbsSha256 = hash('sha256', await readFile(tbs), 'hex');
    expect(certificate['tbsSha256']).toBe(tbsSha256);
  },
);

test.skipIf(lacks('openssl'))(
  'who could have held an identity: the serial and key that openssl reads off the certificate',
  async () => {
    const span = ['--from', new Date(Date.now() - 60_000).toISOString(), '--to', '9999-01-01'];
    const question = ['query', '--held', 'spiffe://mesh.test/web', ...span, '-o', 'json'];
    const answer = await fromFiles(...question);
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    expect((await overSocket(...question)).stdout).toBe(answer.stdout);
    const spki = execFileSync(
      'sh',
      [
        '-c',
        'openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r',
      ],
      { input: pem, encoding: 'utf8' },
    ).slice(0, 64);
    const { holdings } = JSON.parse(answer.stdout) as { holdings: unknown[] };
    expect(holdings).toContainEqual(
      expect.objectContaining({ serial, node, spkiSha256: spki, kind: 'x509' }),
    );
    const usage = await fromFiles('query', '--held', 'spiffe://mesh.test/web');
    expect(usage).toMatchObject({ code: 2, stderr: expect.stringContaining('--from and --to') });
  },
);

test('a proof stands alone, and nothing that was changed does', async () => {
  const proven = await fromFiles('prove', serial);
  expect(proven).toMatchObject({ code: 0, stderr: '' });
  expect(proven.stdout).toMatch(/^c2sp\.org\/tlog-proof@v1\nextra /);
  const file = join(auditor, 'it.tlog-proof');
  await writeFile(file, proven.stdout);
  const key = ['--verifier', `@${join(auditor, 'key')}`];
  const verified = await signet('verify', '--proof', file, ...key);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining(serial) });
  await writeFile(file, proven.stdout.replace(/\nindex \d+\n/, '\nindex 0\n'));
  const refused = await signet('verify', '--proof', file, ...key);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('proves nothing');
  expect((await fromFiles('prove', 'deadbeefdeadbeef')).stderr).toContain('no record of');
  expect((await fromFiles('prove', '999999')).stderr).toContain('no record 999999');
});

test('an earlier checkpoint binds every later log: growth is proven, a rewritten history is named', async () => {
  const since = join(auditor, 'since');
  const printed = await fromFiles('checkpoint');
  expect(printed.stdout).toMatch(/^mesh\.test\/signet\/audit\n\d+\n/);
  expect((await mesh.admin.auditCheckpoint()).note).toBe(printed.stdout);
  await writeFile(since, printed.stdout);
  await mesh.admin.createToken({ ttlSeconds: 60 });
  await mesh.restart();
  const grown = await fromFiles('verify', '--since', since);
  expect(grown).toMatchObject({ code: 0, stdout: expect.stringContaining('the log only grew') });

  // Another log of the same name and key, by somebody who has the CA's disk and its secrets.
  await mesh.stop();
  const kept = join(auditor, 'kept');
  await cp(mesh.directory, kept, { recursive: true });
  const other = await mesh.start({ data: kept, adminSocket: join(kept, 'other.sock') });
  await other.close();
  await mesh.restart();
  await mesh.admin.createToken({ ttlSeconds: 60 });
  await mesh.stop();
  const mine = await fromFiles('checkpoint');
  await writeFile(since, mine.stdout);
  const forked = await signet('verify', '--since', since, '--data', kept);
  expect(forked).toMatchObject({ code: 1, stderr: expect.stringMatching(/truncated|forked/) });
  expect(await fromFiles('verify', '--since', since)).toMatchObject({ code: 0 });
  await mesh.restart();
});
