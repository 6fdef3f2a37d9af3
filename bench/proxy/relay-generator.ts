/**
 * Bytes through a relay, a process of its own: on each connection as many as go, one way.
 *
 * Arguments: a JSON object, see `RelaySetting`. Standard output: a JSON object, see `RelayResult`.
 */

import { once } from 'node:events';
import { sleep, systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { processCpuMicros } from '../cpu-time.ts';
import { openAll } from './load-connection.ts';
import { flood } from './relay-flood.ts';
import {
  directionBytes,
  type RelayResult,
  type RelaySetting,
  relaySettingSchema,
} from './relay-setting.ts';

async function main(setting: RelaySetting): Promise<RelayResult> {
  const sockets = await openAll(setting);
  let bytes = 0;
  let failure: Error | undefined;
  for (const socket of sockets) {
    socket.on('error', (error) => (failure ??= error));
    socket.on('close', () => (failure ??= new BenchError('bench_answer', 'a connection closed')));
    socket.write(directionBytes[setting.direction]);
    // Only now is the client let in and the service reached.
    await once(socket, 'data');
    if (setting.direction === 'up') flood(socket, (sent) => (bytes += sent));
    else socket.on('data', (got: Buffer) => (bytes += got.length));
  }
  await sleep(systemClock, setting.warmUpMs);
  const before = { bytes, cpuMicros: processCpuMicros(setting.watchedPid), at: performance.now() };
  await sleep(systemClock, setting.windowMs);
  const result = {
    bytes: bytes - before.bytes,
    elapsedMs: performance.now() - before.at,
    cpuMicros: processCpuMicros(setting.watchedPid) - before.cpuMicros,
  };
  if (failure !== undefined) throw failure;
  return result;
}

const result = await main(relaySettingSchema.parse(JSON.parse(process.argv[2] ?? '{}')));
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
