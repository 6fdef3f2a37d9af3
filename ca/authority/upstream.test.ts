import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { type UpstreamSource, loadUpstream } from './load-upstream.ts';

const run = promisify(execFile);
const trustDomain = parseTrustDomain('mesh.test');
let directory: string;
const at = (name: string): string => join(directory, name);
const openssl = async (...args: string[]): Promise<void> => {
  await run('openssl', args, { cwd: directory });
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'signet-upstream-'));
  const ca = 'basicConstraints=critical,CA:TRUE';
  const sign = 'keyUsage=critical,keyCertSign,cRLSign';
  const root = async (name: string, key: readonly string[], ...extensions: string[]) => {
    const given = extensions.flatMap((each) => ['-addext', each]);
    await openssl(
      'req',
      '-x509',
      ...key,
      '-noenc',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
      ...given,
    );
  };
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  await Promise.all([
    root('ec', ec, ca, sign),
    root('other', ec, ca, sign),
    root('rsa', ['-newkey', 'rsa:2048'], ca, sign),
    root('length0', ec, `${ca},pathlen:0`, sign),
    root('leaf', ec, 'basicConstraints=critical,CA:FALSE'),
    root('nosign', ec, ca, 'keyUsage=critical,digitalSignature'),
    root('names', ec, ca, sign, 'nameConstraints=critical,permitted;URI:other.test'),
    root('fits', ec, ca, sign, 'nameConstraints=critical,permitted;URI:mesh.test'),
    root('foreign', ec, ca, sign, 'subjectAltName=URI:spiffe://other.test'),
  ]);
  await writeFile(at('ext'), `${ca}\n${sign}\nsubjectKeyIdentifier=hash\n`);
  await openssl(
    'req',
    ...ec,
    '-noenc',
    '-keyout',
    'mid.key',
    '-out',
    'mid.csr',
    '-subj',
    '/CN=mid',
  );
  await openssl(
    'x509',
    '-req',
    '-in',
    'mid.csr',
    '-CA',
    'ec.pem',
    '-CAkey',
    'ec.key',
    '-days',
    '20',
    '-extfile',
    'ext',
    '-out',
    'mid.pem',
  );
  const [mid, top, other] = await Promise.all(
    ['mid.pem', 'ec.pem', 'other.pem'].map((name) => readFile(at(name), 'utf8')),
  );
  await writeFile(at('chain.pem'), `${mid}${top}`);
  await writeFile(at('reversed.pem'), `${top}${mid}`);
  await writeFile(at('wrong.pem'), `${mid}${other}`);
  await writeFile(at('empty.pem'), 'nothing\n');
  await writeFile(at('password'), 'secret\n');
  const p12 = (name: string, ...more: string[]) =>
    openssl(
      'pkcs12',
      '-export',
      '-inkey',
      `${name}.key`,
      '-in',
      `${name}.pem`,
      '-out',
      `${name}.p12`,
      '-passout',
      'pass:secret',
      ...more,
    );
  await Promise.all([p12('ec'), p12('rsa'), p12('mid', '-certfile', 'ec.pem')]);
  await openssl(
    'pkcs8',
    '-topk8',
    '-in',
    'ec.key',
    '-out',
    'locked.key',
    '-passout',
    'pass:secret',
  );
}, 30_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

const load = (source: UpstreamSource, laterMs = 0) =>
  loadUpstream(source, {
    trustDomain,
    nowMs: Date.now() + laterMs,
    environment: { PASSWORD: 'secret', WRONG: 'other' },
  });
const pem = (certificate: string, key: string): UpstreamSource => ({
  certificate: at(certificate),
  key: at(key),
});

describe('taken', () => {
  test.for([
    ['ec.pem', 'ec.key', 1],
    ['rsa.pem', 'rsa.key', 1],
    ['fits.pem', 'fits.key', 1],
    ['chain.pem', 'mid.key', 2],
  ] as const)('%s', async ([certificate, key, length]) => {
    const upstream = await load(pem(certificate, key));
    expect(upstream.chain).toHaveLength(length);
    expect(upstream.rootId).toMatch(/^[0-9a-f]{40}$/);
  });

  test.for([
    ['ec.p12', 1],
    ['rsa.p12', 1],
    ['mid.p12', 2],
  ] as const)('%s', async ([pkcs12, length]) => {
    const upstream = await load({ pkcs12: at(pkcs12), passwordFile: at('password') });
    expect(upstream.chain).toHaveLength(length);
    expect(await load({ pkcs12: at(pkcs12), passwordEnv: 'PASSWORD' })).toMatchObject({
      rootId: upstream.rootId,
    });
  });
});

describe('refused', () => {
  test.for([
    ['ec.pem', 'other.key', 'the key does not match'],
    ['reversed.pem', 'mid.key', 'belongs to certificate 2'],
    ['wrong.pem', 'mid.key', 'was not signed by certificate 2'],
    ['mid.pem', 'mid.key', 'no root; add the certificates above it'],
    ['length0.pem', 'length0.key', 'path length 0, but 1 CA'],
    ['leaf.pem', 'leaf.key', 'is no CA'],
    ['nosign.pem', 'nosign.key', 'keyCertSign (X-5)'],
    ['names.pem', 'names.key', 'forbid this trust domain'],
    ['foreign.pem', 'foreign.key', 'is for spiffe://other.test'],
    ['empty.pem', 'ec.key', 'there is no certificate'],
    ['ec.pem', 'locked.key', 'the key is encrypted'],
    ['ec.pem', 'empty.pem', 'no private key'],
  ] as const)('%s with %s', async ([certificate, key, reason]) => {
    await expect(load(pem(certificate, key))).rejects.toMatchObject({
      code: 'upstream_invalid',
      kind: 'invalid_argument',
      message: expect.stringContaining(reason),
    });
  });

  test('a root that has ended', async () => {
    await expect(load(pem('ec.pem', 'ec.key'), 31 * 86_400_000)).rejects.toThrow(/ended at 20/);
  });

  test.for([
    [{ pkcs12: 'ec.p12', passwordEnv: 'WRONG' }, 'the password is wrong'],
    [{ pkcs12: 'ec.p12', passwordEnv: 'ABSENT' }, 'ABSENT is not set'],
    [{ pkcs12: 'ec.pem', passwordEnv: 'PASSWORD' }, 'no PKCS#12 file'],
    [{ pkcs12: 'absent.p12', passwordEnv: 'PASSWORD' }, 'cannot be read'],
  ] as const)('%j', async ([{ pkcs12, passwordEnv }, reason]) => {
    await expect(load({ pkcs12: at(pkcs12), passwordEnv })).rejects.toThrow(reason);
  });
});
