import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger, systemClock } from '../../core/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import type { Store } from '../store/store.ts';
import { openCheckpoint } from '../audit/checkpoint.ts';
import { formatLogMemory, logMemoryKey, readLogMemory } from './log-memory.ts';
import { openRememberedLog, type RememberedLogOptions } from './remembered-log.ts';
import { readTail } from '../audit/tail.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const origin = 'mesh.test/signet/audit';
const pending = {
  type: 'ca.restored',
  backup: { createdAt: '2026-11-22T20:00:00.000Z', sha256: 'a'.repeat(64), revision: 7 },
  checkpoint: { size: 2, rootHash: 'b'.repeat(64) },
} as const;

let directory: string;
let store: MemoryStore;
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'remembered-')), 'audit');
  store = new MemoryStore();
});
afterEach(() => rm(join(directory, '..'), { recursive: true }));

const open = (changes: Partial<RememberedLogOptions> = {}) =>
  openRememberedLog({
    directory,
    store,
    log: silentLogger,
    clock: systemClock,
    signKey: privateKey,
    origin,
    archivableAfterMs: 0,
    ...changes,
  });

async function write(records: number, into: Pick<Store, 'get' | 'commit'> = store): Promise<void> {
  const log = await open({ store: into });
  for (let count = 0; count < records; count += 1) await log.append(stopped);
  await log.close();
}

/** To the log it is as if the process were killed before the store heard of anything. */
const writeUnheard = (records: number): Promise<void> => write(records, deaf());

async function rememberedSize(): Promise<number | undefined> {
  const note = (await readLogMemory(store))?.checkpoint ?? '';
  const verdict = openCheckpoint(note, { name: origin, publicKey });
  return verdict.kind === 'signed' ? verdict.checkpoint.size : undefined;
}

test('a clean stop leaves the whole log remembered, and the next start accepts it', async () => {
  await write(3);
  expect(await rememberedSize()).toBe(3);
  await write(2);
  expect(await rememberedSize()).toBe(5);
});

test('a crash leaves the log ahead of what is remembered, which is no fault', async () => {
  await write(3);
  // The store heard nothing of what came next, as when the process is killed.
  await writeUnheard(1);
  expect(await rememberedSize()).toBe(3);
  await write(1);
  expect(await rememberedSize()).toBe(5);
});

test('a restore is recorded once, wherever a crash comes between the record and the store', async () => {
  await write(2);
  const checkpoint = (await readLogMemory(store))?.checkpoint;
  const value = formatLogMemory({ ...(checkpoint === undefined ? {} : { checkpoint }), pending });
  await store.commit({ puts: [{ key: logMemoryKey, value }] });
  for (let start = 0; start < 2; start += 1) await writeUnheard(0);
  await write(1);
  await write(1);
  const types = (await readTail({ directory, count: 10 })).map(({ type }) => type);
  expect(types.filter((type) => type === 'ca.restored')).toHaveLength(1);
  expect(types.indexOf('ca.restored')).toBe(2);
  expect((await readLogMemory(store))?.pending).toBeUndefined();
});

test.for([
  { name: 'no JSON', value: '{' },
  { name: 'another version', value: '{"version":2}' },
  { name: 'a checkpoint of another key', value: '{"version":1,"checkpoint":"x\\n\\n"}' },
])('a memory that is damaged is not passed over: $name', async ({ value }) => {
  await write(1);
  const good = await store.get(logMemoryKey);
  await store.commit({ puts: [{ key: logMemoryKey, value: new TextEncoder().encode(value) }] });
  await expect(open()).rejects.toMatchObject({
    code: expect.stringMatching(/^audit_(?:broken|key_mismatch)$/),
  });
  await store.commit({ puts: [{ key: logMemoryKey, value: good?.value ?? new Uint8Array() }] });
  await write(1);
});

test('a segment stays while what it issued may live, and may go after that', async () => {
  const clock = new ManualClock(Date.UTC(2026, 10, 22));
  const log = await open({ clock, segmentBytesMax: 4000, archivableAfterMs: 3_600_000 });
  for (let count = 0; count < 60; count += 1) {
    const written = log.append(stopped);
    await clock.advance(10);
    await written;
  }
  const mark = () => log.markArchived({ firstIndex: 0, to: '/archive' }, stopped.actor);
  await vi.waitFor(() =>
    expect(mark()).rejects.toMatchObject({
      code: 'audit_archive_refused',
      message: expect.stringContaining('may live'),
    }),
  );
  await clock.advance(3_600_000);
  const marked = mark();
  await clock.advance(10);
  expect(await marked).toContain('/archived');
  await log.close();
});

/** It answers, and takes nothing in. */
function deaf(): Pick<Store, 'get' | 'commit'> {
  return {
    get: (key) => store.get(key),
    commit: async () => ({ kind: 'committed', revision: store.revision() }),
  };
}

const stopped = { type: 'ca.stopped', actor: { kind: 'system', id: 'ca' } } as const;
