/** How soon a process that has just begun has its identity: really a new one each time, which asks once and ends. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SpiffeWorkloadAPIService } from '../../api/index.ts';
import { systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import type { ChildProgram } from '../child-program.ts';
import { processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import type { AgentMesh } from './agent-mesh.ts';
import { quantilesOf, workloadHeaders } from './first-svid.ts';

/** `python` runs `first_svid.py`. */
export function ofNewProcesses(
  { name, socket }: AgentMesh,
  agent: ChildProgram,
  python: string,
): Candidate {
  const request = requestBytes().toString('hex');
  // Without the site's packages, which it does not use and which take longer to look for than all else.
  const args = ['-I', '-S', script, socket, request];
  const row = `${name}: first SVID of a new process`;
  return {
    name: row,
    async measure(seconds) {
      const end = systemClock.monotonicMs() + seconds * 1000;
      const delaysMs: number[] = [];
      const wholesMs: number[] = [];
      const before = processCpuMicros(agent.pid);
      do {
        const beganMs = performance.now();
        const { stdout } = await promisify(execFile)(python, args);
        wholesMs.push(performance.now() - beganMs);
        const micros = Number(stdout);
        if (!(micros > 0)) throw new BenchError('bench_output', `a process printed ${stdout}`);
        delaysMs.push(micros / 1000);
      } while (systemClock.monotonicMs() < end);
      const cpuMicros = processCpuMicros(agent.pid) - before;
      const figures = {
        ...quantilesOf(delaysMs),
        wholeMs: quantilesOf(wholesMs).p50Ms,
        cpuMicrosPerOperation: cpuMicros / delaysMs.length,
        rssMiB: residentMiB(agent.pid) ?? 0,
      };
      return [{ row, figures }];
    },
  };
}

/** Everything that a client of FetchX509SVID sends, from the preface on (RFC 9113 §3.4, RFC 7541 §6). */
function requestBytes(): Buffer {
  const fields = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': SpiffeWorkloadAPIService.fetchX509Svid.path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...workloadHeaders,
  };
  // Literals without indexing, under new names: the longest needs one byte for its length.
  const block = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([Buffer.from([0]), text(name), text(value)]),
  );
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(settingsFrame, 0, 0, Buffer.alloc(0)),
    frame(headersFrame, endHeaders, 1, Buffer.concat(block)),
    // gRPC's five bytes before a message that is empty.
    frame(dataFrame, endStream, 1, Buffer.alloc(5)),
  ]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function frame(kind: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(kind, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const dataFrame = 0;
const headersFrame = 1;
const settingsFrame = 4;
const endStream = 1;
const endHeaders = 4;
const script = fileURLToPath(new URL('first_svid.py', import.meta.url));
