import { describe, expect, test } from 'vitest';
import { GroupCommit } from './group-commit.ts';

describe('group commit', () => {
  test('what comes while a write is under way shares the next one, within the bound', async () => {
    const { groups, gate, commit } = slowWriter({ groupMax: 3 });
    const first = commit.add(1);
    await turn();
    const rest = [2, 3, 4, 5].map((item) => commit.add(item));
    gate.resolve();
    expect(await Promise.all([first, ...rest])).toEqual([10, 20, 30, 40, 50]);
    expect(groups).toEqual([[1], [2, 3, 4], [5]]);
  });

  test('what comes at once is one group', async () => {
    const { groups, gate, commit } = slowWriter({ groupMax: 10 });
    gate.resolve();
    await Promise.all([1, 2, 3].map((item) => commit.add(item)));
    expect(groups).toEqual([[1, 2, 3]]);
  });

  test('while items come together a group waits for more; one by one nobody waits', async () => {
    const groups: number[][] = [];
    const commit = new GroupCommit<number, number>({
      groupMax: 10,
      queueMax: 10,
      // Longer than the test may take: whoever waited for it would be seen.
      gatherMs: 60_000,
      write: async (items) => {
        groups.push([...items]);
        return items;
      },
      fullError: () => new Error('full'),
    });
    for (const item of [1, 2, 3]) await commit.add(item);
    expect(groups).toEqual([[1], [2], [3]]);
    const more = new GroupCommit<number, number>({
      groupMax: 10,
      queueMax: 10,
      gatherMs: 20,
      write: async (items) => {
        groups.push([...items]);
        return items;
      },
      fullError: () => new Error('full'),
    });
    await Promise.all([4, 5].map((item) => more.add(item)));
    const sixth = more.add(6);
    await turn();
    await Promise.all([sixth, more.add(7)]);
    expect(groups.slice(3)).toEqual([
      [4, 5],
      [6, 7],
    ]);
  });

  test('one over the bound is refused, and the others are not harmed', async () => {
    const { gate, commit } = slowWriter({ groupMax: 1, queueMax: 2 });
    const taken = [1, 2].map((item) => commit.add(item));
    await expect(commit.add(3)).rejects.toThrow('full');
    gate.resolve();
    expect(await Promise.all(taken)).toEqual([10, 20]);
    expect(await commit.add(4)).toBe(40);
  });

  test('a failed write fails its own group alone', async () => {
    const commit = new GroupCommit<number, number>({
      groupMax: 2,
      queueMax: 10,
      write: async (items) => {
        if (items.includes(2)) throw new Error('disk');
        return items;
      },
      fullError: () => new Error('full'),
    });
    const results = await Promise.allSettled([1, 2, 3, 4].map((item) => commit.add(item)));
    expect(results.map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
  });

  test('it is drained when nobody waits', async () => {
    const { gate, commit } = slowWriter({ groupMax: 1 });
    await commit.drained();
    let count = 0;
    for (const item of [1, 2, 3]) void commit.add(item).then(() => (count += 1));
    gate.resolve();
    await commit.drained();
    await turn();
    expect(count).toBe(3);
  });
});

/** Writes each item tenfold, once the gate is open. */
function slowWriter(bounds: { groupMax: number; queueMax?: number }) {
  const groups: (readonly number[])[] = [];
  const gate = Promise.withResolvers<void>();
  const commit = new GroupCommit<number, number>({
    queueMax: 100,
    ...bounds,
    write: async (items) => {
      groups.push(items);
      await gate.promise;
      return items.map((item) => item * 10);
    },
    fullError: () => new Error('full'),
  });
  return { groups, gate, commit };
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
