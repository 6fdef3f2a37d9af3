/** Drives a load against one hop and says what each request cost it. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Figures } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import type { LoadSetting } from './load-generator.ts';
import { parseWrk } from './wrk.ts';

const loadResultSchema = z.object({
  requests: z.number(),
  elapsedMs: z.number(),
  cpuMicros: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});

/** With our own generator: the only one that can do mutual TLS. */
export async function driveGenerator(placement: Placement, setting: LoadSetting): Promise<Figures> {
  const [executable, ...args] = [...placement.others, process.execPath];
  const { stdout } = await run(executable, [...args, generatorScript, JSON.stringify(setting)]);
  const result = loadResultSchema.parse(JSON.parse(stdout));
  return figuresOf({ ...result, pid: setting.watchedPid });
}

/** With wrk, which is cheap enough to leave the core to the service behind the hop; whole seconds only. */
export async function driveWrk(
  wrk: string,
  placement: Placement,
  setting: Omit<LoadSetting, 'tls'>,
): Promise<Figures> {
  const { port, connections, windowMs, watchedPid } = setting;
  const [executable, ...args] = [...placement.others, wrk];
  const seconds = Math.max(1, Math.round(windowMs / 1000));
  const before = processCpuMicros(watchedPid);
  const { stdout } = await run(executable, [
    ...args,
    '--threads=1',
    `--connections=${connections}`,
    `--duration=${seconds}`,
    '--latency',
    // A slow answer is a latency; only a connection that fails is a fault.
    '--timeout=30s',
    `http://127.0.0.1:${port}/bench`,
  ]);
  const cpuMicros = processCpuMicros(watchedPid) - before;
  return figuresOf({ ...parseWrk(stdout), cpuMicros, pid: watchedPid });
}

function figuresOf(p: {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly pid: number;
}): Figures {
  return {
    cpuMicrosPerRequest: p.cpuMicros / p.requests,
    requestsPerSecond: (p.requests / p.elapsedMs) * 1000,
    cpuBusyPercent: p.cpuMicros / p.elapsedMs / 10,
    p50Ms: p.p50Ms,
    p99Ms: p.p99Ms,
    residentMiB: residentMiB(p.pid) ?? 0,
  };
}

const generatorScript = fileURLToPath(import.meta.resolve('./load-generator.ts'));
const run = promisify(execFile);
