/** Drives a load against one hop and says what each request cost it. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Scope, sleep, systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Figures } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import type { LoadTarget } from './load-connection.ts';
import type { LoadSetting } from './load-setting.ts';
import { parseWrk, type WrkResult } from './wrk.ts';

const loadResultSchema = z.object({
  requests: z.number(),
  elapsedMs: z.number(),
  cpuMicros: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});

const handshakeResultSchema = z.object({
  handshakes: z.number(),
  elapsedMs: z.number(),
  cpuMicros: z.number(),
});

/** With our own generator: the only one that can do mutual TLS. */
export async function driveGenerator(placement: Placement, setting: LoadSetting): Promise<Figures> {
  const [executable, ...args] = [...placement.others, process.execPath];
  const { stdout } = await run(executable, [...args, generatorScript, JSON.stringify(setting)]);
  const result = loadResultSchema.parse(JSON.parse(stdout));
  return figuresOf({ ...result, pid: setting.watchedPid });
}

/** Handshakes with a client's certificate, each for one request: what each costs, and how many a core does. */
export async function driveHandshakes(
  placement: Placement,
  setting: LoadSetting,
): Promise<Figures> {
  const [executable, ...args] = [...placement.others, process.execPath];
  const { stdout } = await run(executable, [...args, handshakeScript, JSON.stringify(setting)]);
  const result = handshakeResultSchema.parse(JSON.parse(stdout));
  const cpuMicrosPerHandshake = result.cpuMicros / result.handshakes;
  return {
    cpuMicrosPerHandshake,
    handshakesPerCore: 1e6 / cpuMicrosPerHandshake,
    cpuBusyPercent: result.cpuMicros / result.elapsedMs / 10,
    residentMiB: residentMiB(setting.watchedPid) ?? 0,
  };
}

/** What one more idle connection adds to the memory of a process, as the slope between two numbers of them. */
export async function driveIdle(
  scope: Scope,
  placement: Placement,
  p: { readonly target: LoadTarget; readonly watchedPid: number; readonly quietMs: number },
): Promise<Figures> {
  const { target, watchedPid, quietMs } = p;
  const settled = async (): Promise<number> => {
    await openIdle(scope, placement, target);
    await sleep(systemClock, quietMs);
    return residentMiB(watchedPid) ?? 0;
  };
  const first = await settled();
  const second = await settled();
  return {
    idleKiB: ((second - first) * 1024) / target.connections,
    residentMiB: second,
  };
}

/** Opens `target.connections` in a process of its own, which holds them until the scope ends. */
export async function openIdle(
  scope: Scope,
  placement: Placement,
  target: LoadTarget,
): Promise<void> {
  const [executable, ...args] = [...placement.others, process.execPath];
  const child = spawn(executable, [...args, idleScript, JSON.stringify(target)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  scope.onClose(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(() => {
    throw new BenchError('bench_process', 'the idle clients have ended');
  });
  await Promise.race([once(child.stdout, 'data'), ended]);
  // They are held from now on, and ended with the scope.
  ended.catch(() => {});
}

/** With wrk, which is cheap enough to leave the core to the service behind the hop; whole seconds only. */
export async function driveWrk(
  wrk: string,
  placement: Placement,
  setting: Omit<LoadSetting, 'tls'>,
): Promise<Figures> {
  const { watchedPid } = setting;
  const before = processCpuMicros(watchedPid);
  const result = await runWrk(wrk, placement.others, setting);
  const cpuMicros = processCpuMicros(watchedPid) - before;
  return figuresOf({ ...result, cpuMicros, pid: watchedPid });
}

/** Runs wrk on the cores of `placement` and answers what it says. */
export async function runWrk(
  wrk: string,
  placement: readonly string[],
  setting: Pick<LoadSetting, 'port' | 'connections' | 'windowMs'>,
): Promise<WrkResult> {
  const { port, connections, windowMs } = setting;
  const [executable, ...args] = [...placement, wrk];
  const seconds = Math.max(1, Math.round(windowMs / 1000));
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
  return parseWrk(stdout);
}

function figuresOf(p: {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly pid: number;
}): Figures {
  return { ...requestFigures(p), p50Ms: p.p50Ms, p99Ms: p.p99Ms };
}

/** What so many requests cost the process, without latencies, which not every load tells. */
export function requestFigures(p: {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly cpuMicros: number;
  readonly pid: number;
}): Figures {
  return {
    cpuMicrosPerRequest: p.cpuMicros / p.requests,
    requestsPerSecond: (p.requests / p.elapsedMs) * 1000,
    cpuBusyPercent: p.cpuMicros / p.elapsedMs / 10,
    residentMiB: residentMiB(p.pid) ?? 0,
  };
}

const handshakeScript = fileURLToPath(import.meta.resolve('./handshake-generator.ts'));
const idleScript = fileURLToPath(import.meta.resolve('./idle-clients.ts'));
const generatorScript = fileURLToPath(import.meta.resolve('./load-generator.ts'));
const run = promisify(execFile);
