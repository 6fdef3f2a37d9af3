/**
 * The load, a process of its own: as many connections as asked for, on each one request after the other.
 * It stands in where wrk or its gateway is missing. It opens all connections before it begins, so that handshakes
 * are no part of the figures, and reads the CPU time of the watched process itself, at the very begin and
 * end of its window.
 *
 * Arguments: a JSON object, see {@link LoadSetting}. Standard output: a JSON object, see {@link LoadResult}.
 */

import { createHistogram } from 'node:perf_hooks';
import { sleep, systemClock } from '../../core/index.ts';
import { processCpuMicros } from '../cpu-time.ts';
import { BenchError } from '../bench-error.ts';
import { benchRequest, openAll, readAnswers } from './load-connection.ts';
import { type LoadSetting, loadSettingSchema } from './load-setting.ts';

export interface LoadResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function main(setting: LoadSetting): Promise<LoadResult> {
  const sockets = await openAll(setting);
  const latency = createHistogram();
  let requests = 0;
  let failure: Error | undefined;
  for (const socket of sockets) {
    socket.on('error', (error) => (failure ??= error));
    socket.on('close', () => (failure ??= new BenchError('bench_answer', 'a connection closed')));
    let sentAt = 0n;
    const send = (): void => {
      sentAt = process.hrtime.bigint();
      socket.write(benchRequest);
    };
    readAnswers(
      socket,
      () => {
        requests += 1;
        latency.record(process.hrtime.bigint() - sentAt);
        send();
      },
      (error) => (failure ??= error),
    );
    send();
  }
  await sleep(systemClock, setting.warmUpMs);
  latency.reset();
  const before = {
    requests,
    cpuMicros: processCpuMicros(setting.watchedPid),
    at: performance.now(),
  };
  await sleep(systemClock, setting.windowMs);
  const cpuMicros = processCpuMicros(setting.watchedPid) - before.cpuMicros;
  const result = {
    requests: requests - before.requests,
    elapsedMs: performance.now() - before.at,
    cpuMicros,
    p50Ms: latency.percentile(50) / 1e6,
    p99Ms: latency.percentile(99) / 1e6,
  };
  if (failure !== undefined) throw failure;
  return result;
}

const result = await main(loadSettingSchema.parse(JSON.parse(process.argv[2] ?? '{}')));
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
