/**
 * What runs in a process of its own, so that its memory and its start are its own: the store opened and
 * all entries read into the view, or, as the floor below that, no more than every record read and parsed.
 */

import { Level } from 'level';
import { openLevelStore, openRegistryView } from '../../ca/index.ts';
import { systemClock, systemRandom } from '../../core/index.ts';
import type { Figures } from '../measurement.ts';
import { log, nodeIdAt, trustDomain } from './full-store.ts';

/** The figures are printed as one line of JSON. */
export async function measureView(directory: string): Promise<void> {
  const done = measureStart();
  const store = await openLevelStore({ directory });
  const view = await openRegistryView({
    store,
    trustDomain,
    clock: systemClock,
    random: systemRandom,
    log,
  });
  const start = done();
  const micros: number[] = [];
  for (let at = 0; at < lookups; at += 1) {
    const before = performance.now();
    view.entriesOf(nodeIdAt(at * 7));
    micros.push((performance.now() - before) * 1000);
  }
  micros.sort((left, right) => left - right);
  print({
    ...start,
    entries: view.counts().entries,
    authorizedP50Micros: micros[Math.floor(lookups / 2)] ?? 0,
    authorizedP99Micros: micros[Math.floor(lookups * 0.99)] ?? 0,
  });
  await view.close();
  await store.close();
}

export async function measureFloor(directory: string): Promise<void> {
  const done = measureStart();
  const database = new Level<string, Buffer>(directory, { valueEncoding: 'buffer' });
  await database.open();
  const records: unknown[] = [];
  for await (const record of database.values({ gt: 'd/entries/ ', lt: 'd/entries/\u007f' })) {
    // Two numbers of eight bytes stand before the record.
    records.push(JSON.parse(record.toString('utf8', 16)));
  }
  print({ ...done(), entries: records.length });
  await database.close();
}

function measureStart(): () => Figures {
  const [beganMs, cpuBefore] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      startMs: performance.now() - beganMs,
      startCpuMs: (user + system) / 1000,
      rssMiB: process.memoryUsage.rss() / 2 ** 20,
      peakMiB: process.resourceUsage().maxRSS / 1024,
    };
  };
}

function print(figures: Figures): void {
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

const lookups = 5000;
