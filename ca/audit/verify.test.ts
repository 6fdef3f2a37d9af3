import { generateKeyPairSync } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, toHex } from '../../core/index.ts';
import type { AuditEvent } from './event.ts';
import { openAuditLog } from './log.ts';
import { verifyAuditLog } from './verify.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519');
const origin = 'mesh.test/signet/audit';
const records = 10;

describe('verifying an audit log', () => {
  let base: string;
  let whole: string;
  let directory: string;
  let verifierKey: string;
  let earlier: string;
  let root: string;

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), 'verify-'));
    whole = join(base, 'whole');
    const options = { directory: whole, clock: systemClock, signKey: privateKey, origin };
    const first = await openAuditLog({ ...options, segmentBytesMax: 600 });
    for (let count = 0; count < 6; count += 1) await first.append(removed(count));
    await first.close();
    earlier = await readFile(join(whole, 'checkpoint'), 'utf8');
    const log = await openAuditLog({ ...options, segmentBytesMax: 600 });
    for (let count = 6; count < records - 1; count += 1) await log.append(removed(count));
    await log.append(stopped());
    root = toHex(log.rootHash());
    await log.close();
    verifierKey = await readFile(join(whole, 'verifier.pub'), 'utf8');
  });

  afterAll(() => rm(base, { recursive: true }));

  beforeEach(async () => {
    directory = await mkdtemp(join(base, 'copy-'));
    await cp(whole, directory, { recursive: true });
  });

  afterEach(() => rm(directory, { recursive: true }));

  test('a whole log, by its own key, by the key given, and against an earlier checkpoint', async () => {
    const expected = {
      kind: 'ok',
      origin,
      size: records,
      rootHash: root,
      firstTime: expect.stringMatching(/Z$/),
      lastTime: expect.stringMatching(/Z$/),
      counts: { 'ca.stopped': 1, 'node.removed': records - 1 },
      unsealed: 0,
      archived: 0,
      tilesMissing: 0,
    };
    expect(await verifyAuditLog({ directory })).toEqual(expected);
    expect(await verifyAuditLog({ directory, verifierKey })).toEqual(expected);
    expect(await verifyAuditLog({ directory, verifierKey, knownCheckpoint: earlier })).toEqual(
      expected,
    );
  });

  test('an empty log', async () => {
    const empty = join(directory, 'empty');
    const options = { directory: empty, clock: systemClock, signKey: privateKey, origin };
    await (await openAuditLog(options)).close();
    expect(await verifyAuditLog({ directory: empty })).toMatchObject({
      kind: 'ok',
      size: 0,
      counts: {},
    });
  });

  test.for<{
    name: string;
    code: string;
    index: number;
    damage: (lines: string[]) => string[] | Promise<string[]>;
  }>([
    {
      name: 'a record changed',
      code: 'edited',
      index: 3,
      damage: (lines) => lines.with(3, (lines[3] ?? '').replace('node/3', 'node/7')),
    },
    {
      name: 'a record taken out',
      code: 'edited',
      index: 4,
      damage: (lines) => lines.toSpliced(4, 1),
    },
    {
      name: 'a record put in',
      code: 'edited',
      index: 5,
      damage: (lines) => lines.toSpliced(5, 0, lines[4] ?? ''),
    },
    {
      name: 'two records swapped',
      code: 'edited',
      index: 2,
      damage: (lines) => lines.with(2, lines[3] ?? '').with(3, lines[2] ?? ''),
    },
    {
      name: 'a record blanked',
      code: 'edited',
      index: 6,
      damage: (lines) => lines.with(6, ''),
    },
    {
      name: 'the first record changed',
      code: 'edited',
      index: 0,
      damage: (lines) => lines.with(0, (lines[0] ?? '').replace('node/0', 'node/7')),
    },
    {
      name: 'the first record claims a past',
      code: 'edited',
      index: 0,
      damage: (lines) => lines.with(0, (lines[0] ?? '').replace('"previous":"0', '"previous":"1')),
    },
    {
      name: 'the last record gone',
      code: 'truncated',
      index: records - 1,
      damage: (lines) => lines.slice(0, -1),
    },
    {
      name: 'all records gone',
      code: 'truncated',
      index: 0,
      damage: () => [],
    },
    {
      // Nothing follows it, so only the root can tell.
      name: 'the last record changed',
      code: 'forked',
      index: records - 1,
      damage: (lines) => lines.map((line) => line.replace('ca.stopped', 'ca.stooped')),
    },
    {
      name: 'another history, soundly chained',
      code: 'forked',
      index: records - 1,
      damage: otherHistory,
    },
  ])('finds it and says where: $name', async ({ code, index, damage }) => {
    await rewrite(directory, damage);
    for (const options of [{ directory }, { directory, verifierKey }]) {
      expect(await verifyAuditLog(options)).toMatchObject({ kind: 'broken', code, index });
    }
  });

  test('a record without its end', async () => {
    const last = (await segments(directory)).at(-1) ?? '';
    const text = await readFile(last, 'utf8');
    await writeFile(last, text.slice(0, -3));
    expect(await verifyAuditLog({ directory })).toMatchObject({
      kind: 'broken',
      code: 'torn',
      index: records - 1,
    });
  });

  test('an end torn past the checkpoint is a write under way, not a fault', async () => {
    const last = (await segments(directory)).at(-1) ?? '';
    await writeFile(last, `${await readFile(last, 'utf8')}{"actor"`);
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: records });
  });

  test('a segment taken out of the middle', async () => {
    const [, second = ''] = await segments(directory);
    await rm(second);
    const verdict = await verifyAuditLog({ directory });
    expect(verdict).toMatchObject({ kind: 'broken', code: 'truncated' });
    expect(second).toContain(String(verdict.kind === 'broken' ? verdict.index : 'ok'));
  });

  test('a shorter history that the key itself signed is caught by an earlier checkpoint', async () => {
    const forged = join(directory, 'forged');
    const options = { directory: forged, clock: systemClock, signKey: privateKey, origin };
    const log = await openAuditLog(options);
    await log.append(removed(99));
    await log.close();
    expect(await verifyAuditLog({ directory: forged, verifierKey })).toMatchObject({ kind: 'ok' });
    expect(
      await verifyAuditLog({ directory: forged, verifierKey, knownCheckpoint: earlier }),
    ).toMatchObject({ kind: 'broken', code: 'truncated', index: 1 });
    const again = await openAuditLog(options);
    for (let count = 1; count < 8; count += 1) await again.append(removed(count));
    await again.close();
    expect(
      await verifyAuditLog({ directory: forged, verifierKey, knownCheckpoint: earlier }),
    ).toMatchObject({ kind: 'broken', code: 'forked', index: 5 });
  });

  test('a log rewritten and signed by somebody else', async () => {
    const forged = join(directory, 'forged');
    const options = { directory: forged, clock: systemClock, signKey: stranger.privateKey, origin };
    const log = await openAuditLog(options);
    await log.append(removed(99));
    await log.close();
    // It agrees with itself; only a key kept elsewhere tells.
    expect(await verifyAuditLog({ directory: forged })).toMatchObject({ kind: 'ok' });
    expect(await verifyAuditLog({ directory: forged, verifierKey })).toMatchObject({
      kind: 'broken',
      code: 'bad_signature',
    });
  });

  test.for([
    { name: 'no checkpoint', file: 'checkpoint', text: undefined, code: 'no_checkpoint' },
    { name: 'an empty checkpoint', file: 'checkpoint', text: '', code: 'bad_checkpoint' },
    { name: 'no key', file: 'verifier.pub', text: undefined, code: 'bad_key' },
    { name: 'a key that is none', file: 'verifier.pub', text: 'key\n', code: 'bad_key' },
  ])('$name', async ({ file, text, code }) => {
    await rm(join(directory, file));
    if (text !== undefined) await writeFile(join(directory, file), text);
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'broken', code });
  });

  test('a checkpoint whose size was raised', async () => {
    const path = join(directory, 'checkpoint');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(`\n${records}\n`, `\n${records + 1}\n`));
    expect(await verifyAuditLog({ directory })).toMatchObject({
      kind: 'broken',
      code: 'bad_signature',
    });
  });

  test("a directory that is not there, or a key that is none, is the caller's slip", async () => {
    const missing = join(directory, 'missing');
    await expect(verifyAuditLog({ directory: missing })).rejects.toMatchObject({
      code: 'audit_unreadable',
    });
    await expect(verifyAuditLog({ directory, verifierKey: 'key' })).rejects.toMatchObject({
      code: 'audit_verifier_invalid',
    });
  });

  test('a log that is being written verifies at every moment', async () => {
    const live = join(directory, 'live');
    const options = { directory: live, clock: systemClock, signKey: privateKey, origin };
    const log = await openAuditLog({ ...options, segmentBytesMax: 5000 });
    const over = new AbortController();
    const writing = (async () => {
      for (let round = 0; round < 30; round += 1) {
        await Promise.all(Array.from({ length: 10 }, (_, count) => log.append(removed(count))));
      }
      over.abort();
    })();
    while (!over.signal.aborted) {
      expect(await verifyAuditLog({ directory: live })).toMatchObject({ kind: 'ok' });
    }
    await writing;
    await log.close();
    expect(await verifyAuditLog({ directory: live })).toMatchObject({ kind: 'ok', size: 300 });
  });

  /** As many records as signed, each following the one before, but not those. */
  async function otherHistory(): Promise<string[]> {
    const other = join(directory, 'other');
    const options = { directory: other, clock: systemClock, signKey: stranger.privateKey, origin };
    const log = await openAuditLog(options);
    for (let count = 0; count < records; count += 1) await log.append(removed(count + 50));
    await log.close();
    return linesOf(other);
  }
});

function removed(count: number): AuditEvent {
  const actor = { kind: 'admin', id: 'uid:0' } as const;
  return { type: 'node.removed', actor, nodeId: `spiffe://mesh.test/signet/node/${count}` };
}

function stopped(): AuditEvent {
  return { type: 'ca.stopped', actor: { kind: 'system', id: 'ca' } };
}

async function segments(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.jsonl'));
  return names
    .toSorted((left, right) => (left < right ? -1 : 1))
    .map((name) => join(directory, name));
}

async function linesOf(directory: string): Promise<string[]> {
  const texts = await Promise.all(
    (await segments(directory)).map((path) => readFile(path, 'utf8')),
  );
  return texts.join('').split('\n').slice(0, -1);
}

/** Puts the lines back as one segment. */
async function rewrite(
  directory: string,
  damage: (lines: string[]) => string[] | Promise<string[]>,
): Promise<void> {
  const lines = await damage(await linesOf(directory));
  for (const path of await segments(directory)) await rm(path);
  const text = lines.map((line) => `${line}\n`).join('');
  await writeFile(join(directory, 'records-000000000000.jsonl'), text);
}
