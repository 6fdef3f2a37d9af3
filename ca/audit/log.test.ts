import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, toHex } from '../../core/index.ts';
import { FaultyDisk } from '../../test/fakes/faulty-segment-file.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditEvent } from './event.ts';
import { type AuditLogOptions, openAuditLog } from './log.ts';
import { leafHashOf } from './merkle.ts';
import { verifyAuditLog } from './verify.ts';
import { recordBytesMax } from './record-line.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const origin = 'mesh.test/signet/audit';
const firstSegment = 'records-000000000000.jsonl';

describe('audit log', () => {
  let directory: string;
  const open: AuditLog[] = [];

  beforeEach(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'audit-')), 'audit');
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((log) => log.close()));
    await rm(join(directory, '..'), { recursive: true });
  });

  async function openLog(options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
    const defaults = { directory, clock: systemClock, signKey: privateKey, origin };
    const log = await openAuditLog({ ...defaults, ...options });
    open.push(log);
    return log;
  }

  const segment = (name = firstSegment): string => join(directory, name);
  const readLinesOf = async (name?: string): Promise<string[]> =>
    (await readFile(segment(name), 'utf8')).split('\n').slice(0, -1);

  describe('appending', () => {
    test('a record is one line of canonical JSON that names the hash of the line before', async () => {
      const log = await openLog();
      const first = await log.append(started());
      const second = await log.append(removed(1));
      const lines = await readLinesOf();
      expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
        {
          actor: { id: 'ca', kind: 'system' },
          index: 0,
          previous: '0'.repeat(64),
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          trustDomain: 'mesh.test',
          type: 'ca.started',
        },
        expect.objectContaining({ index: 1, previous: toHex(first.leafHash) }),
      ]);
      expect(lines[0]).toMatch(/^\{"actor":\{"id":"ca","kind":"system"\},"index":0,"previous":/);
      expect(toHex(leafHashOf(Buffer.from(lines[1] ?? '')))).toBe(toHex(second.leafHash));
      expect([first.index, second.index, log.size()]).toEqual([0, 1, 2]);
    });

    test('records that arrive together share a sync, and keep their order', async () => {
      const disk = new FaultyDisk();
      const log = await openLog({ openFile: disk.open });
      const appended = await Promise.all(
        Array.from({ length: 300 }, (_, count) => log.append(removed(count))),
      );
      expect(appended.map(({ index }) => index)).toEqual(Array.from({ length: 300 }, (_, i) => i));
      expect(disk.syncs).toBeLessThan(4);
    });

    test('an append resolves only once its record is synced', async () => {
      const disk = new FaultyDisk();
      const log = await openLog({ openFile: disk.open });
      const gate = Promise.withResolvers<void>();
      disk.gate = gate.promise;
      let isDurable = false;
      const appended = log.append(started()).then(() => {
        isDurable = true;
      });
      while (disk.syncs === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(isDurable).toBe(false);
      expect(log.size()).toBe(0);
      gate.resolve();
      await appended;
      expect(log.size()).toBe(1);
    });

    test('a queue that is full refuses one more, by name, and harms none that wait', async () => {
      const log = await openLog({ queueMax: 3 });
      const appends = Array.from({ length: 4 }, (_, count) => log.append(removed(count)));
      await expect(appends[3]).rejects.toMatchObject({
        code: 'audit_queue_full',
        kind: 'resource_exhausted',
      });
      await Promise.all(appends.slice(0, 3));
      await log.append(removed(4));
      expect(log.size()).toBe(4);
    });

    test('what arrives during a sync shares the next one, and the bound holds meanwhile', async () => {
      const disk = new FaultyDisk();
      const log = await openLog({ openFile: disk.open, queueMax: 100 });
      const gate = Promise.withResolvers<void>();
      disk.gate = gate.promise;
      const first = log.append(removed(0));
      while (disk.syncs === 0) await new Promise((resolve) => setImmediate(resolve));
      const gathered = Array.from({ length: 100 }, (_, count) => log.append(removed(count)));
      await expect(log.append(removed(0))).rejects.toMatchObject({ kind: 'resource_exhausted' });
      expect(disk.syncs).toBe(1);
      gate.resolve();
      await Promise.all([first, ...gathered]);
      expect([disk.syncs, log.size()]).toEqual([2, 101]);
    });

    test('a record that is too large is refused alone', async () => {
      const log = await openLog();
      const big: AuditEvent = { ...removed(0), nodeId: 'x'.repeat(recordBytesMax) };
      const [before, refusal, after] = await Promise.allSettled([
        log.append(removed(1)),
        log.append(big),
        log.append(removed(2)),
      ]);
      expect(before.status).toBe('fulfilled');
      expect(refusal).toMatchObject({ reason: { code: 'audit_record_too_large' } });
      expect(after).toMatchObject({ value: { index: 1 } });
    });

    test('a closed log takes nothing, and what waited is durable', async () => {
      const log = await openLog();
      const waiting = log.append(started());
      await log.close();
      expect(await waiting).toMatchObject({ index: 0 });
      await expect(log.append(started())).rejects.toMatchObject({ code: 'audit_closed' });
      expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 1 });
    });

    test('only its owner may look into the directory', async () => {
      await openLog();
      expect((await stat(directory)).mode & 0o777).toBe(0o700);
      expect((await stat(segment())).mode & 0o777).toBe(0o600);
    });
  });

  describe('segments', () => {
    test('a full segment is followed by one named for its first record', async () => {
      const log = await openLog({ segmentBytesMax: 1000 });
      for (let count = 0; count < 30; count += 1) await log.append(removed(count));
      await log.close();
      const names = (await readdir(directory)).filter((name) => name.endsWith('.jsonl'));
      expect(names.length).toBeGreaterThan(3);
      for (const name of names) {
        const [line = '{}'] = await readLinesOf(name);
        expect(name).toBe(`records-${String(JSON.parse(line).index).padStart(12, '0')}.jsonl`);
      }
      expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 30 });
    });

    test('it opens again from the last segment alone, or from all if its tree is lost', async () => {
      const first = await openLog({ segmentBytesMax: 1000 });
      for (let count = 0; count < 30; count += 1) await first.append(removed(count));
      const root = toHex(first.rootHash());
      await first.close();
      const second = await openLog();
      expect([second.size(), toHex(second.rootHash())]).toEqual([30, root]);
      await second.append(removed(30));
      await second.close();
      for (const name of await readdir(directory)) {
        if (name.endsWith('.tree')) await writeFile(join(directory, name), '{"size":');
      }
      const third = await openLog();
      await third.append(removed(31));
      await third.close();
      expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 32 });
    });

    test('a wrong tree beside a segment does not get past the checkpoint', async () => {
      const log = await openLog({ segmentBytesMax: 300 });
      for (let count = 0; count < 4; count += 1) await log.append(removed(count));
      await log.close();
      const tree = (await readdir(directory)).findLast((name) => name.endsWith('.tree')) ?? '';
      const text = await readFile(join(directory, tree), 'utf8');
      await writeFile(join(directory, tree), text.replace(/"subtrees":\["../, '"subtrees":["00'));
      await expect(openLog()).rejects.toMatchObject({ code: 'audit_broken' });
    });
  });

  describe('a disk that fails', () => {
    test.for(['write', 'sync'] as const)(
      '%s: every waiter is told, nothing stays',
      async (failing) => {
        const disk = new FaultyDisk();
        const log = await openLog({ openFile: disk.open });
        await log.append(started());
        const before = await readFile(segment());
        disk.failing = failing;
        const results = await Promise.allSettled([log.append(removed(1)), log.append(removed(2))]);
        for (const result of results) {
          expect(result).toMatchObject({
            reason: { code: 'audit_write_failed', kind: 'unavailable' },
          });
        }
        expect(log.size()).toBe(1);
        disk.failing = 'nothing';
        expect(await log.append(removed(3))).toMatchObject({ index: 1 });
        await log.close();
        const lines = await readLinesOf();
        expect(lines).toHaveLength(2);
        expect(`${lines[0]}\n`).toBe(before.toString());
        expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 2 });
      },
    );

    test('what is half-written goes before anything else is written', async () => {
      const disk = new FaultyDisk();
      const log = await openLog({ openFile: disk.open });
      await log.append(started());
      disk.failing = 'write_and_truncate';
      await expect(log.append(removed(1))).rejects.toMatchObject({ code: 'audit_write_failed' });
      disk.failing = 'truncate';
      await expect(log.append(removed(2))).rejects.toMatchObject({ code: 'audit_write_failed' });
      disk.failing = 'nothing';
      expect(await log.append(removed(3))).toMatchObject({ index: 1 });
      await log.close();
      expect(await verifyAuditLog({ directory })).toMatchObject({
        kind: 'ok',
        size: 2,
        unsealed: 0,
      });
    });

    test('without a new segment the group fails, and the next one tries again', async () => {
      const disk = new FaultyDisk();
      const log = await openLog({ openFile: disk.open, segmentBytesMax: 1 });
      await log.append(started());
      disk.failing = 'open';
      await expect(log.append(removed(1))).rejects.toMatchObject({ code: 'audit_write_failed' });
      disk.failing = 'nothing';
      expect(await log.append(removed(2))).toMatchObject({ index: 1 });
      await log.close();
      expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 2 });
    });

    test('nothing more is appended while checkpoints cannot be written', async () => {
      const log = await openLog();
      await log.append(started());
      await settled(log, directory);
      // A directory in the way of the file it is written to first.
      await mkdir(join(directory, 'checkpoint.new', 'in-the-way'), { recursive: true });
      await log.append(removed(1));
      await expect(
        (async () => {
          for (;;) await log.append(removed(2));
        })(),
      ).rejects.toMatchObject({ code: 'audit_write_failed' });
      const size = log.size();
      await rm(join(directory, 'checkpoint.new'), { recursive: true });
      expect(await log.append(removed(3))).toMatchObject({ index: size });
      await log.close();
      expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: size + 1 });
    });
  });
});

function started(): AuditEvent {
  return { type: 'ca.started', actor: { kind: 'system', id: 'ca' }, trustDomain: 'mesh.test' };
}

function removed(count: number) {
  const actor = { kind: 'admin', id: 'uid:0', uid: 0 } as const;
  return {
    type: 'node.removed',
    actor,
    nodeId: `spiffe://mesh.test/signet/node/${count}`,
  } as const;
}

/** Until the checkpoint speaks of all that the log has. */
async function settled(log: AuditLog, directory: string): Promise<void> {
  for (;;) {
    const verdict = await verifyAuditLog({ directory });
    if (verdict.kind === 'ok' && verdict.size === log.size()) return;
  }
}
