/** `bench registry`: what a CA with many entries needs to start, to hold them, and to find those of one node. */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { Scope } from '../../core/index.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, type Figures, measureInRounds } from '../measurement.ts';
import { choosePlacement, type Placement, placeSelf } from '../placement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { fillStore } from './full-store.ts';
import { makeAuthority } from './loaded-authority.ts';

export interface RegistryOptions extends BenchOptions {
  readonly entries: number;
}

export async function benchRegistry(options: RegistryOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, `registry: ${options.entries} entries, 1000 nodes`, machine);
  const placement = choosePlacement();
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    placeSelf(placement);
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const authority = await makeAuthority(directory, placement);
    await fillStore(authority.store, options.entries);
    const candidates: Candidate[] = [
      inOwnProcess(
        'level: every record read and parsed',
        'registry-floor',
        authority.store,
        placement,
      ),
      inOwnProcess('registry: store and view', 'registry-view', authority.store, placement),
      authority.candidate,
    ].filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(candidates, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    const { seconds, rounds } = options;
    const notes = [
      `${placement.description}; figures are median (least–most) of ${rounds} rounds, each with a process of its own`,
      'a node asks for its entries 5,000 times in a round; the CA row counts from the start of the process to its first answer',
      'resident memory holds the runtime and the program, too: a Node.js with nothing to do has 45 MiB',
    ];
    const loadAverageAtEnd = loadAverage();
    const result = {
      benchmark: 'registry',
      startedAt,
      machine,
      seconds,
      rounds,
      loadAverageAtEnd,
      notes,
      rows,
    };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
}

function inOwnProcess(
  name: string,
  command: string,
  store: string,
  placement: Placement,
): Candidate {
  const [program, ...args] = [
    ...placement.underTest,
    process.execPath,
    benchScript,
    command,
    store,
  ];
  return {
    name,
    warmsUp: false,
    async measure() {
      const { stdout } = await run(program, args);
      const figures: Figures = figuresSchema.parse(JSON.parse(stdout));
      return [{ row: name, figures }];
    },
  };
}

const figuresSchema = z.record(z.string(), z.number());
const run = promisify(execFile);
const benchScript = resolve(import.meta.dirname, '../bench.ts');

const columns: readonly [Column, ...Column[]] = [
  { figure: 'startMs', title: 'start ms', digits: 0 },
  { figure: 'startCpuMs', title: 'CPU ms', digits: 0 },
  { figure: 'rssMiB', title: 'RSS MiB', digits: 0 },
  { figure: 'peakMiB', title: 'peak MiB', digits: 0 },
  { figure: 'authorizedP50Micros', title: "a node's entries p50 µs", digits: 0 },
  { figure: 'authorizedP99Micros', title: 'p99 µs', digits: 0 },
];
