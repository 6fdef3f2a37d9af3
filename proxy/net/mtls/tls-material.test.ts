/** When our own certificate may be presented. */

import { expect, test } from 'vitest';
import { mutualTlsContext } from './secure-context.ts';
import { noRevocationLists } from './revoked-peers.ts';
import { makeTestPki } from '../../../test/fakes/test-pki.ts';
import { type TlsMaterial, whyNotUsable } from './tls-material.ts';

test('from its first second to its last, and not without one', async () => {
  const nowMs = Date.UTC(2026, 0, 1);
  const pki = await makeTestPki({ nowMs });
  const leaf = await pki.issueLeaf({ id: '/web', notBeforeMs: nowMs });
  const { notBeforeMs, notAfterMs } = leaf.certificate;
  const version = '1';
  const material: TlsMaterial = {
    identity: {
      id: leaf.id,
      chain: leaf.chain,
      context: mutualTlsContext(leaf.chainPem, Buffer.from(leaf.keyPem), '1.3'),
      notBeforeMs,
      notAfterMs,
      version,
      loadedAtMs: nowMs,
    },
    trust: { bundles: pki.bundles, lists: noRevocationLists, version, loadedAtMs: nowMs },
    generation: 1,
  };
  expect(whyNotUsable(undefined, nowMs)).toBe('no secret has arrived yet');
  expect(whyNotUsable(material, notBeforeMs - 1)).toContain('is valid from 2026-01-01T00:00:00');
  expect(whyNotUsable(material, notBeforeMs)).toBe(undefined);
  expect(whyNotUsable(material, notAfterMs)).toBe(undefined);
  expect(whyNotUsable(material, notAfterMs + 1)).toContain('our certificate expired at');
});
