/** TCP relayed out of mutual TLS: how many bytes a second of CPU time carries, each way. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchError } from '../bench-error.ts';
import { residentMiB } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import type { Hop } from './hop.ts';
import { dnsNameOf, type PemFiles } from './mesh-identities.ts';
import { type RelayDirection, relayResultSchema, type RelaySetting } from './relay-setting.ts';

/** Candidates such as `TLS relay up: nginx`, for the hops that relay. */
export function relayCandidates(
  placement: Placement,
  client: PemFiles,
  hops: readonly Hop[],
): readonly Candidate[] {
  return hops.flatMap((hop) => {
    const { relayPort } = hop;
    if (relayPort === undefined) return [];
    return (['up', 'down'] as const).map((direction) =>
      candidate(placement, client, { hop, port: relayPort, direction }),
    );
  });
}

function candidate(
  placement: Placement,
  client: PemFiles,
  p: { readonly hop: Hop; readonly port: number; readonly direction: RelayDirection },
): Candidate {
  const { hop, port, direction } = p;
  const { program } = hop;
  const row = `TLS relay ${direction}: ${hop.name}`;
  return {
    name: row,
    // Each run warms up by itself: ten thousand reads take a relay less than a second.
    warmsUp: false,
    async measure(seconds) {
      program.check();
      const setting: RelaySetting = {
        direction,
        port,
        tls: { ...client, serverName: dnsNameOf('proxy') },
        // One long connection: what one transfer costs is the question, not how many share.
        connections: 1,
        warmUpMs: Math.min(seconds, 1) * 500,
        windowMs: seconds * 1000,
        watchedPid: program.pid,
      };
      const [executable, ...args] = [...placement.others, process.execPath];
      const { stdout } = await run(executable, [...args, generatorScript, JSON.stringify(setting)]);
      const { bytes, cpuMicros, elapsedMs } = relayResultSchema.parse(JSON.parse(stdout));
      if (bytes === 0) throw new BenchError('bench_answer', `${row}: no byte came through`);
      return [
        {
          row,
          figures: {
            // Bytes in a microsecond are megabytes in a second.
            megabytesPerCpuSecond: bytes / cpuMicros,
            cpuBusyPercent: cpuMicros / elapsedMs / 10,
            residentMiB: residentMiB(program.pid) ?? 0,
          },
        },
      ];
    },
  };
}

const generatorScript = fileURLToPath(import.meta.resolve('./relay-generator.ts'));
const run = promisify(execFile);
