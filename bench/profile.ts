/** Reads a CPU profile of V8: where the time of a process went, by function. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { BenchError } from './bench-error.ts';
import type { Print } from './report.ts';

const profileSchema = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({
        functionName: z.string(),
        url: z.string(),
        lineNumber: z.number(),
      }),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
});
export type CpuProfile = z.output<typeof profileSchema>;

export interface SelfTime {
  /** `function file:line`, or V8's own name such as `(garbage collector)`. */
  readonly place: string;
  /** Of the time that the process was not idle. */
  readonly percent: number;
}

/** Self time by function, the most first, without the idle time. */
export function selfTimes(profile: CpuProfile): readonly SelfTime[] {
  const placeById = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const micros = new Map<string, number>();
  profile.samples.forEach((id, at) => {
    const place = placeById.get(id) ?? '(unknown)';
    if (place === '(idle)') return;
    micros.set(place, (micros.get(place) ?? 0) + (profile.timeDeltas[at] ?? 0));
  });
  const total = [...micros.values()].reduce((sum, time) => sum + time, 0);
  return [...micros]
    .map(([place, time]) => ({ place, percent: (time / total) * 100 }))
    .toSorted((a, b) => b.percent - a.percent);
}

/** Prints the heaviest functions of the newest profile in `directory`. */
export function printProfile(print: Print, directory: string): void {
  const name = readdirSync(directory)
    .filter((file) => file.endsWith('.cpuprofile'))
    .toSorted()
    .at(-1);
  if (name === undefined) throw new BenchError('bench_output', `no profile in ${directory}`);
  const path = join(directory, name);
  const profile = profileSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  print('');
  print(`self time without idle, from ${path}`);
  for (const { place, percent } of selfTimes(profile).slice(0, placesShown)) {
    print(`${percent.toFixed(1).padStart(6)} %  ${place}`);
  }
}

/** What Node.js is told so that it writes a profile when it ends. */
export function profileFlags(directory: string | undefined): readonly string[] {
  return directory === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', directory];
}

function placeOf(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName;
  if (frame.url === '') return name;
  const file = frame.url.replace(/^file:\/\//, '').replace(projectRoot, '');
  return `${name} ${file}:${frame.lineNumber + 1}`;
}

const projectRoot = join(import.meta.dirname, '../');
const placesShown = 40;
