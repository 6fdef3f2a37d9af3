import { expect, test } from 'vitest';
import { seededRandom, silentLogger } from '../../core/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { type WorkerProcess, WorkerSet, WorkersError } from './worker-set.ts';

/** A process that serves on a port, or ends before it does. */
class Fake implements WorkerProcess {
  readonly pid = 1;
  readonly #ending = Promise.withResolvers<string>();
  readonly started: Promise<number | undefined>;
  isStopped = false;

  constructor(port: number | undefined) {
    this.started = Promise.resolve(port);
  }

  get ended(): Promise<string> {
    return this.#ending.promise;
  }

  end(): void {
    this.#ending.resolve('exit code 1');
  }

  stop(): void {
    this.isStopped = true;
    this.end();
  }
}

function setUp(ports: (number | undefined)[]) {
  const spawned: Fake[] = [];
  const clock = new ManualClock(0);
  const spawn = (): Fake => {
    const fake = new Fake(ports[spawned.length]);
    spawned.push(fake);
    return fake;
  };
  return { spawned, clock, deps: { clock, random: seededRandom(1), log: silentLogger, spawn } };
}

/** Lets what is already resolved go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

test('a worker that ends is replaced after a pause, in its place', async () => {
  const { spawned, clock, deps } = setUp([1, 2, 3]);
  const set = await WorkerSet.start(2, deps);
  expect(set.adminPorts()).toEqual([1, 2]);
  spawned[0]?.end();
  await settle();
  expect(set.adminPorts()).toEqual([undefined, 2]);
  expect(spawned.length).toBe(2);
  await clock.advance(200);
  await settle();
  expect(set.adminPorts()).toEqual([3, 2]);
  await set.close();
});

test('one that ends again and again is waited for longer and longer', async () => {
  const { spawned, clock, deps } = setUp([1]);
  const set = await WorkerSet.start(1, deps);
  spawned[0]?.end();
  const counts: number[] = [];
  for (let step = 0; step < 4; step += 1) {
    for (const each of spawned) each.end();
    await settle();
    await clock.advance(200);
    await settle();
    counts.push(spawned.length);
  }
  expect(counts[3]).toBeLessThan(5);
  expect(counts[3]).toBeGreaterThan(1);
  await set.close();
});

test('all are stopped together, and none is replaced then', async () => {
  const { spawned, deps } = setUp([1, 2]);
  const set = await WorkerSet.start(2, deps);
  await set.close();
  expect(spawned.map(({ isStopped }) => isStopped)).toEqual([true, true]);
  expect(spawned.length).toBe(2);
});

test('if one cannot serve none does', async () => {
  const { spawned, deps } = setUp([1, undefined]);
  spawned[1]?.end();
  await expect(WorkerSet.start(2, deps)).rejects.toThrow(WorkersError);
  expect(spawned.map(({ isStopped }) => isStopped)).toEqual([true, true]);
});
