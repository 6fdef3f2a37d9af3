/** What the embedded store promises beyond the port: durability, one owner, and clear faults. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLevelStore } from '../../ca/store/level-store.ts';
import { describeError, exitCodeOf, utf8Bytes, utf8Text } from '../../core/index.ts';

describe('store: level on a disk', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'store-level-'));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  test('what was committed is there after a reopen, and a watch can begin in the past', async () => {
    const path = join(directory, 'store');
    const first = await openLevelStore({ directory: path });
    await first.commit({ puts: [{ key: 'a/1', value: utf8Bytes('x') }] });
    await first.commit({ puts: [{ key: 'a/2', value: utf8Bytes('y') }], deletes: ['a/1'] });
    await first.close();

    const second = await openLevelStore({ directory: path });
    expect(second.revision()).toBe(2);
    expect((await second.range({ prefix: '' })).items.map(({ key }) => key)).toEqual(['a/2']);
    const kinds: string[] = [];
    const done = Promise.withResolvers<void>();
    second.watch({ prefix: 'a/', fromRevision: 1 }, (events) => {
      kinds.push(...events.map(({ kind, key }) => `${kind} ${key}`));
      if (kinds.length === 3) done.resolve();
    });
    await done.promise;
    expect(kinds).toEqual(['put a/1', 'put a/2', 'delete a/1']);
    await second.close();
  });

  test('only its owner may look into the directory, parents included', async () => {
    const store = await openLevelStore({ directory: join(directory, 'data', 'store') });
    await store.close();
    for (const path of [join(directory, 'data'), join(directory, 'data', 'store')]) {
      expect((await stat(path)).mode & 0o777).toBe(0o700);
    }
  });

  test('commits under way when it closes are still durable', async () => {
    const path = join(directory, 'store');
    const store = await openLevelStore({ directory: path });
    const commit = store.commit({ puts: [{ key: 'a', value: utf8Bytes('x') }] });
    await Promise.resolve();
    await store.close();
    expect(await commit).toEqual({ kind: 'committed', revision: 1 });
    const again = await openLevelStore({ directory: path });
    expect(again.revision()).toBe(1);
    await again.close();
  });

  // Killed at different moments: while it opens, at the first writes, and in full swing.
  test.for([1, 40, 400])(
    'a process killed after %i acknowledged commits loses none of them',
    async (count) => {
      const path = join(directory, 'store');
      const writer = startWriter(path);
      let acknowledged = 0;
      let seen = 0;
      for await (const line of createInterface({ input: writer.stdout })) {
        if (line === 'open') continue;
        acknowledged = Math.max(acknowledged, Number(line));
        seen += 1;
        if (seen === count) writer.process.kill('SIGKILL');
      }
      await writer.exited;
      expect(seen).toBeGreaterThanOrEqual(count);

      const store = await openLevelStore({ directory: path, eventRevisionsKept: 50 });
      expect(store.revision()).toBeGreaterThanOrEqual(acknowledged);
      // Both halves of each pair, or neither.
      const [left, right] = await Promise.all(
        ['left/', 'right/'].map(async (prefix) =>
          (await store.range({ prefix })).items.map(({ value, modRevision }) => [
            utf8Text(value),
            modRevision,
          ]),
        ),
      );
      expect(left).toEqual(right);
      // The event log has every revision that is not compacted.
      const from = Math.max(1, store.revision() - 49);
      const revisions: number[] = [];
      const done = Promise.withResolvers<void>();
      store.watch(
        { prefix: '', fromRevision: from },
        (events) => {
          revisions.push(...events.map(({ revision }) => revision));
          if (revisions.at(-1) === store.revision()) done.resolve();
        },
        () => done.reject(new Error('lost')),
      );
      await done.promise;
      expect([...new Set(revisions)]).toEqual(
        Array.from({ length: store.revision() - from + 1 }, (_, index) => from + index),
      );
      await store.close();
    },
  );

  test('a second process is refused by name, and taken once the first has gone', async () => {
    const path = join(directory, 'store');
    const writer = startWriter(path);
    const [line] = await once(createInterface({ input: writer.stdout }), 'line');
    expect(line).toBe('open');
    const refusal = await openLevelStore({ directory: path }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'store_locked', kind: 'failed_precondition' });
    expect(exitCodeOf(refusal)).toBe(2);
    expect(describeError(refusal)).toContain(path);
    expect(describeError(refusal)).toContain('stop the other signet ca');
    writer.process.kill('SIGKILL');
    await writer.exited;
    const store = await openLevelStore({ directory: path });
    await store.close();
  });

  test.for<{ name: string; code: string; prepare: (path: string) => Promise<string> }>([
    {
      name: 'a file in its place',
      code: 'store_not_a_directory',
      prepare: async (path) => {
        await writeFile(path, 'x');
        return path;
      },
    },
    {
      name: 'a file on the way to it',
      code: 'store_not_a_directory',
      prepare: async (path) => {
        await writeFile(path, 'x');
        return join(path, 'store');
      },
    },
    {
      name: 'a file system that takes no directory',
      code: 'store_unavailable',
      prepare: () => Promise.resolve('/proc/signet-store'),
    },
    {
      name: 'a damaged database',
      code: 'store_corrupt',
      prepare: async (path) => {
        const store = await openLevelStore({ directory: path });
        await store.close();
        await writeFile(join(path, 'CURRENT'), 'garbage');
        return path;
      },
    },
    {
      name: 'a database of something else',
      code: 'store_format',
      prepare: async (path) => {
        const other = new Level(path);
        await other.put('their', 'key');
        await other.close();
        return path;
      },
    },
    {
      name: 'a store of a later format',
      code: 'store_format',
      prepare: async (path) => {
        const other = new Level(path);
        await other.put('m/format', '2');
        await other.close();
        return path;
      },
    },
    {
      name: 'a counter that fits no event',
      code: 'store_corrupt',
      prepare: async (path) => {
        const store = await openLevelStore({ directory: path });
        await store.commit({ puts: [{ key: 'a', value: utf8Bytes('x') }] });
        await store.close();
        const other = new Level(path);
        await other.put('m/revision', '7');
        await other.close();
        return path;
      },
    },
  ])('says what is wrong: $name', async ({ code, prepare }) => {
    const path = await prepare(join(directory, 'store'));
    const refusal = await openLevelStore({ directory: path }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code, name: 'StoreError' });
    expect(describeError(refusal)).not.toContain('\n');
    expect(refusal).toHaveProperty('remedy', expect.any(String));
  });

  test('an empty directory made beforehand is taken, and closed to others', async () => {
    const path = join(directory, 'store');
    await mkdir(path, { mode: 0o755 });
    const store = await openLevelStore({ directory: path });
    await store.close();
    expect((await stat(path)).mode & 0o777).toBe(0o700);
  });
});

function startWriter(path: string) {
  const script = fileURLToPath(new URL('./store-writer.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { stdout } = child;
  if (stdout === null) throw new Error('the writer has no output');
  return { process: child, stdout, exited: once(child, 'exit') };
}
