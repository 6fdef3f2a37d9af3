import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parseBundle } from '../../spiffe/index.ts';
import { trustDomain } from './ca-fixture.ts';
import { CaProcess } from './ca-process.ts';
import { runSignet } from './signet-command.ts';

let ca: CaProcess;
afterEach(() => ca.end());

test('the commands of a rotation and of a compromise, as an operator runs them', async () => {
  ca = await CaProcess.begin();
  const { admin } = ca;
  const signet = ca.signet.bind(ca);
  const plan = await signet('authority', 'plan');
  expect(plan.stdout).toMatch(/prepare +ready/);
  const prepared = JSON.parse((await signet('authority', 'prepare', '-o', 'json')).stdout);
  const aborted = await signet('authority', 'abort', prepared.id);
  expect(aborted.stdout).toMatch(/State +retired/);
  const { activeRootId, activeIssuingId } = await admin.status();
  const refused = await signet('authority', 'taint', activeRootId);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('no published root') });
  expect((await signet('authority', 'taint', activeIssuingId)).stdout).toMatch(/Tainted +20/);
  expect((await admin.status()).activeIssuingId).not.toBe(activeIssuingId);
  const rotated = await signet('authority', 'rotate', '-o', 'json');
  const steps = rotated.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const rootId = steps[0].authorityId;
  expect(steps.at(-2)).toMatchObject({ step: 'retire', state: 'done', authorityId: activeRootId });
  expect(steps.at(-1)).toMatchObject({
    rotated: rootId,
    proof: { checkpoint: { note: expect.stringContaining('mesh.test/signet/audit') } },
  });
  expect(rotated.code).toBe(0);
  // What was printed is what the log's files prove, with no CA asked.
  const { index } = steps
    .at(-1)
    .proof.steps.find(({ step }: { step: string }) => step === 'activated');
  const data = join(ca.directory, 'ca');
  const proven = await runSignet(['audit', 'prove', String(index), '--data', data]);
  const file = join(ca.directory, 'it.tlog-proof');
  writeFileSync(file, proven.stdout);
  const verifier = `@${join(ca.auditDirectory, 'verifier.pub')}`;
  const verified = await runSignet(['audit', 'verify', '--proof', file, '--verifier', verifier]);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining(rootId) });
}, 60_000);

test('the key of the tokens is rotated by command, and the last line is its proof', async () => {
  ca = await CaProcess.begin();
  const [first = ''] = await kids();
  const rotated = await ca.signet('authority', 'rotate', '--jwt');
  expect(rotated).toMatchObject({ code: 0, stdout: expect.stringContaining('rotated to JWT key') });
  expect(rotated.stdout).toMatch(/publish +done +\S+ +0 of 0 nodes/);
  expect(rotated.stdout).toMatch(/\d+ +\S+ +activated[^]*Checkpoint: \d+ records/);
  expect(await kids()).toHaveLength(1);
  expect(await kids()).not.toContain(first);
}, 60_000);

test('a compromised key of the tokens is tainted and revoked by command', async () => {
  ca = await CaProcess.begin('20s');
  const [first = ''] = await kids();
  const untainted = await ca.signet('authority', 'revoke', first);
  expect(untainted).toMatchObject({ code: 2, stderr: expect.stringContaining('not tainted') });
  const tainted = await ca.signet('authority', 'taint', first);
  expect(tainted.stdout).toMatch(/State +draining[^]*Tainted +20/);
  const inUse = await ca.signet('authority', 'revoke', first);
  expect(inUse).toMatchObject({ code: 2, stderr: expect.stringContaining('the last token under') });
  expect(await kids()).toContain(first);
  expect(await ca.signet('authority', 'revoke', first, '--force')).toMatchObject({ code: 0 });
  const after = await kids();
  expect(after).toHaveLength(1);
  expect(after).not.toContain(first);
  const { stdout } = await ca.signet('authority', 'list');
  expect(stdout).toMatch(new RegExp(`${after[0]} +jwt +active`));
}, 60_000);

/** The keys that tokens are verified with, as the bundle has them. */
async function kids(): Promise<string[]> {
  const { jwtAuthorities } = parseBundle(await ca.admin.bundle(), trustDomain);
  return jwtAuthorities.map(({ keyId }) => keyId);
}
