/** Signatures made in the calling thread and in the thread pool, each judged by openssl and by the other. */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import {
  caTemplate,
  createCertificateRequest,
  encodeName,
  generateKeyPair,
  inlineSignatures,
  issueCertificate,
  keyIdOf,
  keySigner,
  leafTemplate,
  pemEncode,
  pooledSignatures,
  type Signatures,
  spkiOf,
  verifyCertificateRequest,
} from '../../pki/index.ts';
import { lacks } from '../programs.ts';

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'signet-signatures-'));
afterAll(() => rmSync(directory, { recursive: true }));

const nowMs = Math.floor(Date.now() / 1000) * 1000;
const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
const issuerName = encodeName({ organization: 'mesh.test', commonName: 'contract' });

const places: readonly (readonly [string, Signatures])[] = [
  ['calling-thread', inlineSignatures],
  ['thread-pool', pooledSignatures(2)],
];

test.skipIf(lacks('openssl')).for(places)(
  '%s: what it signs and accepts, openssl accepts',
  async ([name, signatures]) => {
    const { privateKey, publicKey } = generateKeyPair('ec-p256');
    const signer = keySigner(privateKey, signatures);
    const root = await issueCertificate(
      caTemplate({ selfSigned: true, signatureAlgorithm: signer.algorithm }).encode({
        ...validity,
        serial: Uint8Array.of(1),
        subject: issuerName,
        spki: spkiOf(publicKey),
        uris: ['spiffe://mesh.test'],
      }),
      signer,
    );
    const leafKeys = generateKeyPair('ec-p256');
    const csr = await createCertificateRequest(keySigner(leafKeys.privateKey, signatures));
    const { spki } = await verifyCertificateRequest(csr, signatures);
    const template = leafTemplate({
      issuerName,
      issuerKeyId: keyIdOf(publicKey),
      signatureAlgorithm: signer.algorithm,
    });
    // Many at once, so that the pool's threads work beside one another.
    const leaves = await Promise.all(
      Array.from({ length: 32 }, (_, at) => {
        const serial = Uint8Array.of(2, at);
        const uris = ['spiffe://mesh.test/web'];
        return issueCertificate(template.encode({ ...validity, serial, spki, uris }), signer);
      }),
    );
    const file = (what: string, text: string): string => {
      const path = join(directory, `${name}-${what}.pem`);
      writeFileSync(path, text);
      return path;
    };
    const rootFile = file('root', pemEncode('CERTIFICATE', root));
    const files = leaves.map((der, at) => file(`leaf-${at}`, pemEncode('CERTIFICATE', der)));
    const { stdout } = await run('openssl', ['verify', '-CAfile', rootFile, ...files]);
    expect(stdout.match(/: OK$/gm)).toHaveLength(files.length);
    const csrFile = file('csr', pemEncode('CERTIFICATE REQUEST', csr));
    const request = await run('openssl', ['req', '-in', csrFile, '-verify', '-noout']);
    expect(`${request.stdout}${request.stderr}`).toContain('verify OK');

    const [leaf = new Uint8Array()] = leaves;
    const broken = Uint8Array.from(leaf, (byte, at) => (at === leaf.length - 1 ? byte ^ 1 : byte));
    const brokenFile = file('broken', pemEncode('CERTIFICATE', broken));
    await expect(run('openssl', ['verify', '-CAfile', rootFile, brokenFile])).rejects.toThrow(
      /signature failure|verification failed/,
    );
  },
);
