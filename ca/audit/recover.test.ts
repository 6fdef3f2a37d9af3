import { generateKeyPairSync } from 'node:crypto';
import {
  appendFile,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeError, systemClock } from '../../core/index.ts';
import type { AuditLog } from './audit-log.ts';
import { type AuditLogOptions, openAuditLog } from './log.ts';
import { readTail } from './tail.ts';
import { verifyAuditLog } from './verify.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const origin = 'mesh.test/signet/audit';
const firstSegment = 'records-000000000000.jsonl';

describe('opening an audit log again', () => {
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

  async function makeLog(records = 5): Promise<void> {
    const log = await openLog();
    for (let count = 0; count < records; count += 1) await log.append(removed(count));
    await log.close();
  }

  test('goes on where it was', async () => {
    await makeLog();
    const log = await openLog();
    expect(await log.append(removed(5))).toMatchObject({ index: 5 });
    await log.close();
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 6 });
  });

  test.for([
    { name: 'half a record', torn: '{"actor":{"id":"c' },
    { name: 'a page of zeros', torn: '\0'.repeat(4096) },
    { name: 'zeros and a newline', torn: '\0\0\n' },
  ])('cuts off a torn end, and records that it did: $name', async ({ torn }) => {
    await makeLog();
    await appendFile(segment(), torn);
    const log = await openLog();
    expect(log.size()).toBe(6);
    const [recovered] = await readTail({ directory, count: 1 });
    expect(recovered).toMatchObject({ type: 'audit.recovered', bytesCut: torn.length, index: 5 });
    await log.close();
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: 6 });
  });

  test('keeps whole records past the checkpoint: they were durable', async () => {
    await makeLog(3);
    const checkpoint = await readFile(join(directory, 'checkpoint'));
    const log = await openLog();
    await log.append(removed(3));
    await log.close();
    await writeFile(join(directory, 'checkpoint'), checkpoint);
    expect(await verifyAuditLog({ directory })).toMatchObject({
      kind: 'ok',
      size: 3,
      unsealed: 1,
    });
    const again = await openLog();
    expect(again.size()).toBe(4);
    await again.close();
    expect(await verifyAuditLog({ directory })).toMatchObject({
      kind: 'ok',
      size: 4,
      unsealed: 0,
    });
  });

  test('wherever a crash cuts it, it opens past the checkpoint and refuses before', async () => {
    await makeLog(3);
    const checkpoint = await readFile(join(directory, 'checkpoint'));
    const sealedBytes = (await stat(segment())).size;
    const log = await openLog();
    for (let count = 3; count < 6; count += 1) await log.append(removed(count));
    await log.close();
    const whole = await readFile(segment());
    for (let bytes = sealedBytes - 60; bytes <= whole.length; bytes += 53) {
      await writeFile(segment(), whole.subarray(0, bytes));
      await writeFile(join(directory, 'checkpoint'), checkpoint);
      if (bytes < sealedBytes) {
        await expect(openLog()).rejects.toMatchObject({ code: 'audit_broken' });
        continue;
      }
      const kept = whole.subarray(0, bytes).toString().split('\n').length - 1;
      const isTorn = whole[bytes - 1] !== 0x0a;
      const again = await openLog();
      expect(again.size()).toBe(kept + (isTorn ? 1 : 0));
      await again.close();
      expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', unsealed: 0 });
    }
  });

  test.for<{ name: string; code: string; damage: () => Promise<void> }>([
    {
      name: 'a byte changed',
      code: 'audit_broken',
      damage: async () => {
        const text = await readFile(segment(), 'utf8');
        await writeFile(segment(), text.replace('node/2', 'node/9'));
      },
    },
    {
      name: 'the last record changed',
      code: 'audit_broken',
      damage: async () => {
        const text = await readFile(segment(), 'utf8');
        await writeFile(segment(), text.replace('node/4', 'node/9'));
      },
    },
    {
      name: 'the last record torn',
      code: 'audit_broken',
      damage: async () => truncate(segment(), (await stat(segment())).size - 10),
    },
    {
      name: 'the records gone',
      code: 'audit_broken',
      damage: () => rm(segment()),
    },
    {
      name: 'the checkpoint gone',
      code: 'audit_broken',
      damage: () => rm(join(directory, 'checkpoint')),
    },
    {
      name: 'the checkpoint changed',
      code: 'audit_broken',
      damage: async () => {
        const path = join(directory, 'checkpoint');
        await writeFile(path, (await readFile(path, 'utf8')).replace('\n5\n', '\n4\n'));
      },
    },
    {
      name: 'a record appended that does not follow',
      code: 'audit_broken',
      damage: async () => {
        const [line = ''] = await readLinesOf();
        await appendFile(segment(), `${line}\n`);
      },
    },
  ])('refuses: $name', async ({ code, damage }) => {
    await makeLog();
    await damage();
    const before = await readdir(directory);
    const refusal = await openLog().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code, kind: 'data_loss' });
    expect(describeError(refusal)).toContain(directory);
    expect(await readdir(directory)).toEqual(before);
  });

  test('refuses a log that another key signed', async () => {
    await makeLog();
    const other = generateKeyPairSync('ed25519').privateKey;
    await expect(openLog({ signKey: other })).rejects.toMatchObject({
      code: 'audit_key_mismatch',
      kind: 'failed_precondition',
    });
  });

  test('refuses a name that a checkpoint cannot carry', async () => {
    await expect(openLog({ origin: 'two words' })).rejects.toMatchObject({
      code: 'audit_origin_invalid',
    });
  });

  test('refuses a file in place of the directory', async () => {
    await writeFile(directory, 'x');
    await expect(openLog()).rejects.toMatchObject({ code: 'audit_unreadable' });
  });
});

function removed(count: number) {
  const actor = { kind: 'admin', id: 'uid:0', uid: 0 } as const;
  return {
    type: 'node.removed',
    actor,
    nodeId: `spiffe://mesh.test/signet/node/${count}`,
  } as const;
}
