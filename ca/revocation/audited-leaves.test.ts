import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/index.ts';
import { openAuditLog } from '../audit/log.ts';
import { auditedLeaves } from './audited-leaves.ts';

let directory: string;
let segments: readonly string[];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'leaves-'));
  const log = await openAuditLog({
    directory,
    clock: systemClock,
    signKey: generateKeyPairSync('ed25519').privateKey,
    origin: 'mesh.test/signet/audit',
    segmentBytesMax: 2000,
  });
  for (let serial = 16; serial < 40; serial += 1) {
    await log.append({
      actor: { kind: 'node', id: 'spiffe://mesh.test/signet/node/join-token/a' },
      type: 'svid.issued',
      certificate: {
        serial: serial.toString(16),
        spiffeId: 'spiffe://mesh.test/web',
        spkiSha256: '',
        notBefore: '2026-11-22T21:00:00.000Z',
        notAfter: '9999-01-01T00:00:00.000Z',
        issuerKeyId: 'aa',
      },
    });
  }
  await log.close();
  segments = (await readdir(directory)).filter((name) => name.endsWith('.jsonl')).toSorted();
});
afterAll(() => rm(directory, { recursive: true }));

async function read(nowMs: number): Promise<{ found: number; gaps: number }> {
  let found = 0;
  let gaps = 0;
  const onGap = (): void => {
    gaps += 1;
  };
  const options = { directory, nowMs, lifeMsMax: 3_600_000, onGap };
  for await (const leaf of auditedLeaves(options)) if (leaf.serial !== '') found += 1;
  return { found, gaps };
}

test('records that are elsewhere are missed while they may name what lives, and not after', async () => {
  const nowMs = systemClock.wallMs();
  expect(segments.length).toBeGreaterThan(3);
  expect(await read(nowMs)).toEqual({ found: 24, gaps: 0 });
  // A hole, then a whole beginning that is away.
  await rm(join(directory, segments[1] ?? ''));
  expect(await read(nowMs)).toMatchObject({ gaps: 1 });
  await rm(join(directory, segments[0] ?? ''));
  expect(await read(nowMs)).toMatchObject({ gaps: 1 });
  expect(await read(nowMs + 7_200_000)).toMatchObject({ gaps: 0 });
});
