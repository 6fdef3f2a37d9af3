/** What a second core gives to signatures: the same work in one thread and with the thread pool. */

import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { perOperation } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { parseSigning } from './signing.ts';

/** With 0 workers all in the main thread of the process. */
export function signingThreads(name: string, workers: number, placement: Placement): Candidate {
  return {
    name,
    warmsUp: false,
    async measure(seconds) {
      const asked = ['signing', String(workers), '--seconds', String(seconds)];
      const command: readonly string[] = [...placement.everywhere, process.execPath];
      const { stdout } = await run(command[0] ?? process.execPath, [
        ...command.slice(1),
        benchScript,
        ...asked,
      ]);
      const { operations, wallMs, cpuMicros } = parseSigning(stdout);
      const operationsPerSecond = (operations / wallMs) * 1000;
      return [
        { row: name, figures: { ...perOperation(cpuMicros, operations), operationsPerSecond } },
      ];
    },
  };
}

const run = promisify(execFile);
const benchScript = resolve(import.meta.dirname, '../bench.ts');
