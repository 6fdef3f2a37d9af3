import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { afterAll, beforeAll, describe, expect, test as anyTest } from 'vitest';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { type UpstreamSource, loadUpstream } from './load-upstream.ts';
import { lacks } from '../../test/programs.ts';

const test = anyTest.skipIf(lacks('openssl'));
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
    root('rsa2', ['-newkey', 'rsa:2048'], ca, sign),
    root('length0', ec, `${ca},pathlen:0`, sign),
    root('length1', ec, `${ca},pathlen:1`, sign),
    root('own', ec, ca, sign, 'subjectAltName=URI:spiffe://mesh.test'),
    root('path', ec, ca, sign, 'subjectAltName=URI:spiffe://mesh.test/ca'),
    root('twice', ec, ca, sign, 'subjectAltName=URI:spiffe://mesh.test,URI:https://mesh.test'),
    root('weak', ['-newkey', 'rsa:1024'], ca, sign),
    root('odd', ec, ca, sign, '1.2.3.4=critical,ASN1:NULL'),
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
  // The older form, which `openssl ec -aes256` still writes.
  await openssl('ec', '-aes256', '-in', 'ec.key', '-out', 'sec1.key', '-passout', 'pass:secret');
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
    ['length1.pem', 'length1.key', 1],
    ['own.pem', 'own.key', 1],
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

describe('a PKCS#12 file', () => {
  const p12 = (name: string): UpstreamSource => ({ pkcs12: at(name), passwordEnv: 'PASSWORD' });

  test('with no key is refused', async () => {
    const out = ['-out', 'nokey.p12', '-passout', 'pass:secret'];
    await openssl('pkcs12', '-export', '-nokeys', '-in', 'rsa.pem', ...out);
    await expect(load(p12('nokey.p12'))).rejects.toThrow('it holds 0 private keys, one is needed');
    await expect(load(p12('rsa.p12'))).resolves.toBeDefined();
  });

  test('with two keys is refused, and each of them alone is taken', async () => {
    const [rsa, other] = await Promise.all([forgeSafe('rsa'), forgeSafe('rsa2')]);
    await writeFile(at('one.p12'), pfxOf([rsa]));
    await writeFile(at('other.p12'), pfxOf([other]));
    await writeFile(at('two.p12'), pfxOf([rsa, other]));
    await expect(load(p12('two.p12'))).rejects.toMatchObject({
      code: 'upstream_invalid',
      message: expect.stringContaining('it holds 2 private keys, one is needed'),
    });
    await expect(load(p12('one.p12'))).resolves.toMatchObject({ chain: { length: 1 } });
    await expect(load(p12('other.p12'))).resolves.toMatchObject({ chain: { length: 1 } });
  });

  test('of more than a mebibyte is refused before it is opened', async () => {
    const file = await readFile(at('ec.p12'));
    const padded = (length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      bytes.set(file);
      return bytes;
    };
    await writeFile(at('large.p12'), padded(1024 * 1024 + 1));
    await expect(load(p12('large.p12'))).rejects.toThrow('1048577 bytes, at most 1048576 are read');
    // Of the largest size it is opened, and what follows the file in it is found.
    await writeFile(at('full.p12'), padded(1024 * 1024));
    await expect(load(p12('full.p12'))).rejects.toThrow('it is no PKCS#12 file');
  });
});

/** The safes of a file with one key and its certificate (RFC 7292 §4.1). */
async function forgeSafe(name: string): Promise<forge.asn1.Asn1[]> {
  const [key, certificate] = await Promise.all(
    [`${name}.key`, `${name}.pem`].map((file) => readFile(at(file), 'utf8')),
  );
  const pfx = forge.pkcs12.toPkcs12Asn1(
    forge.pki.privateKeyFromPem(key ?? ''),
    forge.pki.certificateFromPem(certificate ?? ''),
    'secret',
    { useMac: false, algorithm: '3des' },
  );
  // What the octets of the authenticated safe say.
  const { value: octets } = itemOf(itemOf(itemOf(pfx, 1), 1), 0);
  if (Array.isArray(octets)) throw new Error('octets are expected');
  return itemsOf(forge.asn1.fromDer(forge.util.createBuffer(octets)));
}

function itemsOf({ value }: forge.asn1.Asn1): forge.asn1.Asn1[] {
  if (Array.isArray(value)) return value;
  throw new Error('a structure is expected');
}

function itemOf(node: forge.asn1.Asn1, index: number): forge.asn1.Asn1 {
  const item = itemsOf(node)[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

/** A file with the safes of several, as no common program writes it. */
function pfxOf(safes: readonly forge.asn1.Asn1[][]): Uint8Array {
  const { asn1 } = forge;
  const { Class, Type } = asn1;
  const sequence = (...items: forge.asn1.Asn1[]) =>
    asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, items);
  const octets = asn1.toDer(sequence(...safes.flat())).getBytes();
  const version = asn1.create(
    Class.UNIVERSAL,
    Type.INTEGER,
    false,
    asn1.integerToDer(3).getBytes(),
  );
  const data = asn1.create(
    Class.UNIVERSAL,
    Type.OID,
    false,
    asn1.oidToDer(forge.pki.oids['data'] ?? '').getBytes(),
  );
  const content = asn1.create(Class.CONTEXT_SPECIFIC, Type.NONE, true, [
    asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, octets),
  ]);
  return Buffer.from(asn1.toDer(sequence(version, sequence(data, content))).getBytes(), 'binary');
}

describe('an encrypted key', () => {
  const locked = (key: string, password: object): UpstreamSource => ({
    certificate: at('ec.pem'),
    key: at(key),
    ...password,
  });

  test.for(['locked.key', 'sec1.key'])('%s is opened with its password', async (key) => {
    const plain = await load(pem('ec.pem', 'ec.key'));
    const byFile = await load(locked(key, { passwordFile: at('password') }));
    const byEnvironment = await load(locked(key, { passwordEnv: 'PASSWORD' }));
    expect([byFile.rootId, byEnvironment.rootId]).toEqual([plain.rootId, plain.rootId]);
    expect(byFile.privateKey.equals(plain.privateKey)).toBe(true);
  });

  test.for([
    [{ passwordEnv: 'WRONG' }, 'the password is wrong'],
    [{ passwordEnv: 'ABSENT' }, 'ABSENT is not set'],
    [{}, 'the key is encrypted; say where its password is'],
  ] as const)('is refused with %j, and nothing of it is told', async ([password, reason]) => {
    const refusal: unknown = await load(locked('locked.key', password)).catch(
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({
      code: 'upstream_invalid',
      message: expect.stringContaining(reason),
      remedy: expect.any(String),
    });
    expect(String(refusal)).not.toMatch(/other|secret/);
  });

  test('a password beside a key that needs none is not in the way', async () => {
    expect(await load(locked('ec.key', { passwordEnv: 'WRONG' }))).toMatchObject({
      rootId: expect.any(String),
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
    ['path.pem', 'path.key', "an authority's ID has no path"],
    ['twice.pem', 'twice.key', 'more than one URI name'],
    ['weak.pem', 'weak.key', 'the key cannot be used'],
    ['odd.pem', 'odd.key', 'critical extension that is not understood: 1.2.3.4'],
    ['empty.pem', 'ec.key', 'there is no certificate'],
    ['ec.pem', 'locked.key', 'the key is encrypted; say where its password is'],
    ['ec.pem', 'empty.pem', 'no private key'],
  ] as const)('%s with %s', async ([certificate, key, reason]) => {
    await expect(load(pem(certificate, key))).rejects.toMatchObject({
      code: 'upstream_invalid',
      kind: 'invalid_argument',
      message: expect.stringContaining(reason),
    });
  });

  test('a root that has not begun', async () => {
    await expect(load(pem('ec.pem', 'ec.key'), -86_400_000)).rejects.toThrow(/begins at 20/);
  });

  test('an intermediate that has ended below a root that has not', async () => {
    const chain = pem('chain.pem', 'mid.key');
    await expect(load(chain, 25 * 86_400_000)).rejects.toThrow(/certificate 1 \(CN=mid\) ended/);
    await expect(load(chain, 15 * 86_400_000)).resolves.toMatchObject({ chain: { length: 2 } });
  });

  test('a root that has ended', async () => {
    await expect(load(pem('ec.pem', 'ec.key'), 31 * 86_400_000)).rejects.toThrow(/ended at 20/);
    await expect(load(pem('ec.pem', 'ec.key'), 29 * 86_400_000)).resolves.toBeDefined();
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
