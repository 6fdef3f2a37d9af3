/**
 * The load, a process of its own: as many connections as asked for, on each one request after the other.
 * It stands in where wrk or its gateway is missing. It opens all connections before it begins, so that handshakes
 * are no part of the figures, and reads the CPU time of the watched process itself, at the very begin and
 * end of its window.
 *
 * Arguments: a JSON object, see {@link LoadSetting}. Standard output: a JSON object, see {@link LoadResult}.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { z } from 'zod';
import { sleep, systemClock } from '../../core/index.ts';
import { processCpuMicros } from '../cpu-time.ts';
import { BenchError } from '../bench-error.ts';

const settingSchema = z.object({
  port: z.number(),
  tls: z
    .object({ chain: z.string(), key: z.string(), root: z.string(), serverName: z.string() })
    .optional(),
  connections: z.number(),
  warmUpMs: z.number(),
  windowMs: z.number(),
  watchedPid: z.number(),
});
export type LoadSetting = z.output<typeof settingSchema>;

export interface LoadResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const request = Buffer.from(
  'GET /bench HTTP/1.1\r\nhost: bench.mesh.test\r\naccept: */*\r\nuser-agent: signet-bench\r\n\r\n',
  'latin1',
);

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
      socket.write(request);
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

async function openAll(setting: LoadSetting): Promise<readonly Socket[]> {
  const { tls, port } = setting;
  const context =
    tls === undefined
      ? undefined
      : createSecureContext({
          minVersion: 'TLSv1.3',
          cert: readFileSync(tls.chain),
          key: readFileSync(tls.key),
          ca: readFileSync(tls.root),
        });
  const sockets = Array.from({ length: setting.connections }, async () => {
    const socket =
      tls === undefined || context === undefined
        ? connect(port, '127.0.0.1')
        : connectTls({
            host: '127.0.0.1',
            port,
            secureContext: context,
            servername: tls.serverName,
          });
    socket.setNoDelay(true);
    await once(socket, tls === undefined ? 'connect' : 'secureConnect');
    return socket;
  });
  return Promise.all(sockets);
}

/** Calls `answered` at the end of each response, which must be a 200 with a content length. */
function readAnswers(socket: Socket, answered: () => void, failed: (error: Error) => void): void {
  let waiting: Buffer | undefined;
  socket.on('data', (bytes: Buffer) => {
    const all: Buffer = waiting === undefined ? bytes : Buffer.concat([waiting, bytes]);
    waiting = undefined;
    const headLength = all.indexOf('\r\n\r\n') + 4;
    const head = all.toString('latin1', 0, headLength);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
    if (headLength > 3 && (!head.startsWith('HTTP/1.1 200 ') || Number.isNaN(length))) {
      failed(
        new BenchError('bench_answer', `the answer was ${JSON.stringify(head.slice(0, 200))}`),
      );
      socket.destroy();
    } else if (headLength > 3 && all.length >= headLength + length) {
      answered();
    } else {
      waiting = all;
    }
  });
}

const result = await main(settingSchema.parse(JSON.parse(process.argv[2] ?? '{}')));
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
