import { expect, test } from 'vitest';
import { seededRandom, utf8Bytes } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { createRegistry } from '../registry/registry.ts';
import { joinTokenAttestor } from './join-token-attestor.ts';

const trustDomain = parseTrustDomain('mesh.test');

test('the use of a token is on record before it is bound, and once', async () => {
  const store = new MemoryStore();
  const clock = new ManualClock(0);
  const audit = new RecordingAuditLog();
  const registry = createRegistry({ store, trustDomain, clock, random: seededRandom(1) });
  const { text, token } = await registry.createToken({ ttlMs: 60_000 });
  const attestor = joinTokenAttestor({ trustDomain, registry, audit });
  const request = { evidence: utf8Bytes(text), csr: new Uint8Array(), address: '10.0.0.1:5' };
  const attest = (digit: string) => attestor.attest({ ...request, spkiSha256: digit.repeat(64) });

  audit.failing = true;
  await expect(attest('a')).rejects.toMatchObject({ code: 'audit_write_failed' });
  expect((await registry.getToken(token.id))?.used).toBeUndefined();
  audit.failing = false;

  const nodeId = `spiffe://mesh.test/signet/node/join-token/${token.id}`;
  expect(await attest('a')).toMatchObject({ kind: 'attested', id: nodeId });
  expect(await attest('a')).toMatchObject({ kind: 'attested' });
  expect(await attest('b')).toMatchObject({ kind: 'refused', code: 'token_used' });
  const actor = { kind: 'node', id: nodeId, address: '10.0.0.1:5' };
  expect(audit.events).toEqual([{ actor, type: 'token.used', tokenId: token.id, nodeId }]);
});
