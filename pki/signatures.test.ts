import { expect, test } from 'vitest';
import { createCertificateRequest, verifyCertificateRequest } from './certificate-request.ts';
import { generateKeyPair } from './key.ts';
import { verifySignature } from './signature-algorithm.ts';
import {
  inlineSignatures,
  pooledSignatures,
  SignatureQueueError,
  type Signatures,
} from './signatures.ts';
import { keySigner } from './signer.ts';

const bytes = new Uint8Array(300).fill(7);
// Made once: an RSA key takes longer than all that is asked of it here.
const keys = {
  'ec-p256': generateKeyPair('ec-p256'),
  'ec-p384': generateKeyPair('ec-p384'),
  'rsa-2048': generateKeyPair('rsa-2048'),
};
const kinds = ['ec-p256', 'ec-p384', 'rsa-2048'] as const;
const places: readonly (readonly [string, Signatures])[] = [
  ['in the calling thread', inlineSignatures],
  ['in the thread pool', pooledSignatures(2)],
];

for (const [place, signatures] of places) {
  test.for(kinds)(`%s: a signature made ${place} holds everywhere`, async (kind) => {
    const signer = keySigner(keys[kind].privateKey, signatures);
    const signature = await signer.sign(bytes);
    expect(verifySignature(signer.algorithm, signer.publicKey, bytes, signature)).toBe(true);
    for (const [, other] of places) {
      expect(await other.verify(signer.algorithm, signer.publicKey, bytes, signature)).toBe(true);
    }
  });

  test(`${place}: other bytes, another key and a key of another type are refused`, async () => {
    const signer = keySigner(generateKeyPair('ec-p256').privateKey, signatures);
    const signature = await signer.sign(bytes);
    const { publicKey } = generateKeyPair('ec-p256');
    const rsa = keys['rsa-2048'].publicKey;
    const changed = Uint8Array.from(bytes, (byte, at) => (at === 0 ? byte ^ 1 : byte));
    expect(await signatures.verify('ecdsa-sha256', signer.publicKey, bytes, signature)).toBe(true);
    expect(await signatures.verify('ecdsa-sha256', signer.publicKey, changed, signature)).toBe(
      false,
    );
    expect(await signatures.verify('ecdsa-sha256', publicKey, bytes, signature)).toBe(false);
    expect(await signatures.verify('ecdsa-sha256', rsa, bytes, signature)).toBe(false);
  });

  test(`${place}: a key that cannot sign rejects, and those after it are served`, async () => {
    const { privateKey, publicKey } = generateKeyPair('ec-p256');
    await expect(signatures.sign('ecdsa-sha256', publicKey, bytes)).rejects.toThrow();
    expect((await signatures.sign('ecdsa-sha256', privateKey, bytes)).length).toBeGreaterThan(60);
  });

  test(`${place}: a request is read when its proof holds, and refused when it does not`, async () => {
    const csr = await createCertificateRequest(keySigner(generateKeyPair('ec-p256').privateKey));
    const { keyKind } = await verifyCertificateRequest(csr, signatures);
    expect(keyKind).toBe('ec-p256');
    const forged = Uint8Array.from(csr, (byte, at) => (at === csr.length - 1 ? byte ^ 1 : byte));
    await expect(verifyCertificateRequest(forged, signatures)).rejects.toMatchObject({
      code: 'csr_signature',
    });
  });
}

test('over the bound of the queue a caller is told when to come again, and the others are served', async () => {
  const signatures = pooledSignatures(1, 2);
  const { privateKey } = generateKeyPair('ec-p256');
  const asked = Array.from({ length: 9 }, () => signatures.sign('ecdsa-sha256', privateKey, bytes));
  const outcomes = await Promise.allSettled(asked);
  const refused = outcomes.filter(({ status }) => status === 'rejected');
  // Four are with the pool, two wait, three are sent away.
  expect(refused).toHaveLength(3);
  const error: unknown = refused[0]?.status === 'rejected' ? refused[0].reason : undefined;
  expect(error).toBeInstanceOf(SignatureQueueError);
  expect(error).toMatchObject({ kind: 'resource_exhausted', retryAfterMs: 500 });
  expect((await signatures.sign('ecdsa-sha256', privateKey, bytes)).length).toBeGreaterThan(60);
});
