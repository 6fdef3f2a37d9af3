/** Retention by sealed segments, with a CA as a process and the files alone. */

import { cpSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/wait.ts';
import { parseCertificate } from '../../pki/index.ts';
import { signed } from './ca-fixture.ts';
import { CaProgram } from './ca-program.ts';
import { type CommandResult, runSignet } from './signet-command.ts';

let mesh: CaProgram;
let brief: CaProgram | undefined;
let checkpoint: string;
let key: string;

beforeEach(async () => {
  mesh = new CaProgram({ auditSegmentBytes: 65_536 });
  await mesh.start();
  checkpoint = join(mesh.directory, 'noted.checkpoint');
  key = join(mesh.directory, 'noted.key');
  cpSync(join(mesh.audit, 'verifier.pub'), key);
});

afterEach(async () => {
  await brief?.end();
  await mesh.end();
});

const briefLives = {
  lifetimes: { root: '1h', issuing: '4s', x509Svid: '2s', nodeSvid: '2s', backdate: '1s' },
  jwt: { ttl: '1s', ttlMax: '2s' },
};
const beside = (name: string): string => join(mesh.directory, name);
const fromFiles = (...args: string[]): Promise<CommandResult> =>
  runSignet(['audit', ...args, '--data', mesh.data]);

async function noteCheckpoint(): Promise<void> {
  const { stdout } = await fromFiles('checkpoint');
  writeFileSync(checkpoint, stdout);
}

test('archived segments: proven by tiles, read again where they are, and never passed off', async () => {
  const { node, entryId } = await mesh.join();
  const [leaf = new Uint8Array()] = await signed(node, entryId);
  const { serial } = parseCertificate(leaf);
  const segments = (): string[] =>
    readdirSync(mesh.audit).filter((name) => name.endsWith('.jsonl'));
  while (segments().length < 4) await node.signMany(entryId, 64);
  await noteCheckpoint();
  const archive = beside('archive');
  const args = ['--before', '9999-01-01', '--to', archive];
  // It is the CA that says a segment may be missing, so it must run, and be the one of this log.
  const nobody = await fromFiles('archive', ...args, '--socket', beside('none.sock'));
  expect(nobody.code).not.toBe(0);
  expect(segments()).toContain('records-000000000000.jsonl');
  // What the segments issued still lives, and a restart must find it again to revoke it.
  const young = await fromFiles('archive', ...args, '--socket', mesh.adminSocket);
  expect(young.code).not.toBe(0);
  expect(young.stderr).toContain('may live');
  expect(segments()).toContain('records-000000000000.jsonl');
  await mesh.stop();
  node.close();
  const short = new CaProgram({ auditSegmentBytes: 65_536, ...briefLives }, mesh.data);
  brief = short;
  await short.start(mesh.kek);
  await waitFor('what was issued having ended', 30_000, async () => {
    const done = await fromFiles('archive', ...args, '--socket', short.adminSocket);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    return done;
  });
  expect(segments()).not.toContain('records-000000000000.jsonl');
  const { records } = await short.admin.queryAudit({ type: 'audit.segment_archived' });
  expect(records).toContainEqual(
    expect.objectContaining({ to: archive, segment: expect.objectContaining({ firstIndex: 0 }) }),
  );

  // It goes on, and starts again, on what is left.
  await short.stop('SIGKILL');
  await mesh.start();
  expect(mesh.log()).toContain('archived segments only');
  await mesh.stop();
  const live = await fromFiles('verify', '--since', checkpoint);
  expect(live).toMatchObject({ code: 0, stdout: expect.stringMatching(/Archived +\d+, proven/) });
  const whole = await fromFiles('verify', '--archive', archive);
  expect(whole).toMatchObject({ code: 0, stdout: expect.not.stringContaining('Archived') });
  expect((await fromFiles('prove', serial)).code).not.toBe(0);
  const proof = await fromFiles('prove', serial, '--archive', archive);
  expect(proof).toMatchObject({ code: 0 });
  writeFileSync(beside('proof'), proof.stdout);
  expect(
    await runSignet(['audit', 'verify', '--proof', beside('proof'), '--verifier', `@${key}`]),
  ).toMatchObject({ code: 0, stdout: expect.stringContaining(serial) });

  const named = async (code: string): Promise<void> => {
    const { code: exit, stderr } = await fromFiles('verify', '--archive', archive);
    expect({ exit, stderr }).toMatchObject({ exit: 1, stderr: expect.stringContaining(code) });
  };
  const mark = join(mesh.audit, 'records-000000000000.archived');
  const signedMark = readFileSync(mark, 'utf8');
  writeFileSync(mark, signedMark.replace('/archived\n0 ', '/archived\n0 1'));
  await named('bad_mark');
  writeFileSync(mark, signedMark);
  const first = join(archive, 'records-000000000000.jsonl');
  const bytes = readFileSync(first);
  bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
  writeFileSync(first, bytes);
  await named('edited');
  bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
  writeFileSync(first, bytes);
  // Neither here nor there, and no mark: a loss.
  renameSync(mark, beside('mark'));
  const lost = await fromFiles('verify');
  expect(lost).toMatchObject({ code: 1, stderr: expect.stringContaining('truncated') });
  renameSync(beside('mark'), mark);
  expect((await fromFiles('verify', '--archive', archive)).code).toBe(0);
});
