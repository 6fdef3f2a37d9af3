import { expect, test } from 'vitest';
import { silentLogger } from '../core/index.ts';
import { issueCrl } from '../pki/index.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { nothingRevoked, readRevocations } from './read-crls.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const pki = await makeTestPki({ nowMs });
const list = await issueCrl(
  {
    issuer: pki.issuing.certificate.subject,
    issuerKeyId: pki.issuing.certificate.extensions.subjectKeyId ?? new Uint8Array(),
    number: 1n,
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + 1000,
    revoked: [],
  },
  pki.issuing.signer,
);

test('lists and serials are remembered, and the same ones are the same values', () => {
  const message = { crls: [Buffer.from(list)], revokedSerials: ['0a'] };
  const first = readRevocations(message, nothingRevoked, silentLogger);
  expect(first).toEqual({ crls: [list], revokedSerials: new Set(['0a']) });
  const again = readRevocations(message, first, silentLogger);
  expect(again.crls).toBe(first.crls);
  expect(again.revokedSerials).toBe(first.revokedSerials);
  const lifted = readRevocations({ crls: [], revokedSerials: [] }, first, silentLogger);
  expect(lifted).toEqual(nothingRevoked);
});

test('a list that cannot be read is left out, and the deny list stands', () => {
  const message = { crls: [Uint8Array.of(1), list], revokedSerials: ['0a'] };
  const read = readRevocations(message, nothingRevoked, silentLogger);
  expect(read.crls).toEqual([list]);
  expect(read.revokedSerials.has('0a')).toBe(true);
});
