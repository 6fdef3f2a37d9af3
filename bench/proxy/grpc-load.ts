/** Unary gRPC calls through each hop, over HTTP/2 in plaintext, driven by h2load. */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { processCpuMicros } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { grpcReply, grpcRequest } from './grpc-frame.ts';
import { parseH2load } from './h2load.ts';
import type { Hop } from './hop.ts';
import { requestFigures } from './load.ts';

export interface GrpcLoadSetting {
  readonly directory: string;
  readonly placement: Placement;
  /** The path of h2load. It presents no client certificate, so there are no rows of mutual TLS. */
  readonly h2load: string;
}

/** A candidate for each hop, such as `gRPC h2c: nginx`. */
export function grpcCandidates(
  { directory, placement, h2load }: GrpcLoadSetting,
  hops: readonly Hop[],
): readonly Candidate[] {
  const body = join(directory, 'grpc-request');
  writeFileSync(body, grpcRequest, { mode: 0o600 });
  return hops.map(({ name, program, grpcPort }): Candidate => {
    const row = `gRPC h2c: ${name}`;
    return {
      name: row,
      async measure(seconds) {
        program.check();
        const [executable, ...args] = [...placement.others, h2load];
        const { pid } = program;
        const before = processCpuMicros(pid);
        const { stdout } = await run(executable, [
          ...args,
          ...flags,
          `--duration=${Math.round(seconds * 1000)}ms`,
          `--data=${body}`,
          `http://127.0.0.1:${grpcPort}/bench.Echo/Unary`,
        ]);
        const cpuMicros = processCpuMicros(pid) - before;
        const result = parseH2load(stdout, grpcReply.length);
        return [{ row, figures: requestFigures({ ...result, cpuMicros, pid }) }];
      },
    };
  });
}

const flags = [
  '--threads=1',
  '--clients=16',
  '--max-concurrent-streams=16',
  '--header=content-type: application/grpc',
  '--header=te: trailers',
];
const run = promisify(execFile);
