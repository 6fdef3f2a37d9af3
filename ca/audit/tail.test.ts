import { generateKeyPairSync } from 'node:crypto';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/index.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditRecord } from './event.ts';
import { openAuditLog } from './log.ts';
import { followRecords, readRecords, readTail } from './tail.ts';

describe('reading an audit log', () => {
  let directory: string;
  let log: AuditLog;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tail-'));
    const signKey = generateKeyPairSync('ed25519').privateKey;
    // A few records to a segment, so that every reading crosses some.
    const options = { directory, clock: systemClock, signKey, origin: 'log', segmentBytesMax: 600 };
    log = await openAuditLog(options);
    for (let count = 0; count < 10; count += 1) await append(count);
  });

  afterEach(async () => {
    await log.close();
    await rm(directory, { recursive: true });
  });

  const append = (count: number) =>
    log.append({
      type: 'node.removed',
      actor: { kind: 'admin', id: 'uid:0' },
      nodeId: `node ${count}`,
    });
  const indexes = (records: readonly AuditRecord[]) => records.map(({ index }) => index);

  test.for([
    { count: 0, expected: [] },
    { count: 1, expected: [9] },
    { count: 4, expected: [6, 7, 8, 9] },
    { count: 100, expected: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] },
  ])('the last $count', async ({ count, expected }) => {
    expect(indexes(await readTail({ directory, count }))).toEqual(expected);
  });

  test.for([
    { from: 0, limit: 3, expected: [0, 1, 2] },
    { from: 4, limit: 3, expected: [4, 5, 6] },
    { from: 8, limit: 5, expected: [8, 9] },
    { from: 10, limit: 5, expected: [] },
    { from: -2, limit: 2, expected: [0, 1] },
    { from: 3, limit: 0, expected: [] },
  ])('$limit from $from on', async ({ from, limit, expected }) => {
    expect(indexes(await readRecords({ directory, from, limit }))).toEqual(expected);
  });

  test('an unfinished line is not a record yet', async () => {
    await log.close();
    await appendFile(join(directory, 'records-000000000009.jsonl'), '{"actor"');
    expect(indexes(await readTail({ directory, count: 1 }))).toEqual([9]);
    expect(indexes(await readRecords({ directory, from: 9, limit: 9 }))).toEqual([9]);
  });

  test('following gives each record once, across segments, until it is told to stop', async () => {
    const stop = new AbortController();
    const seen: number[] = [];
    const following = (async () => {
      for await (const { index } of followRecords({
        directory,
        from: 7,
        clock: systemClock,
        signal: stop.signal,
        pollMs: 1,
      })) {
        seen.push(index);
        if (index >= 9 && index < 20) await append(index + 1);
        if (index === 20) stop.abort();
      }
    })();
    await following;
    expect(seen).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  });

  test('a log that is not there cannot be read', async () => {
    const missing = join(directory, 'missing');
    await expect(readTail({ directory: missing, count: 1 })).rejects.toMatchObject({
      code: 'audit_unreadable',
    });
  });
});
