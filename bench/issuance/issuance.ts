/** `bench issuance`: from a certificate request to a certificate, and what the signature alone costs. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Scope } from '../../core/index.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds } from '../measurement.ts';
import { choosePlacement, placeSelf } from '../placement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { findTool } from '../tool.ts';
import { bareSignature } from './bare-signature.ts';
import { startBenchAuthority } from './certificate-authority.ts';
import { opensslSpeed } from './openssl-speed.ts';
import { peculiarX509 } from './peculiar-x509.ts';
import { pkiTemplate } from './pki-template.ts';
import { makeRequests } from './requests.ts';

export async function benchIssuance(options: BenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, 'issuance: CPU time per operation, P-256', machine);
  const placement = choosePlacement();
  const notes = [
    `${placement.description}; figures are median (least–most) of ${options.rounds} interleaved rounds of ${options.seconds} s`,
    'in-process rows count this process, the CA rows only the CA process; disk waits cost no CPU time',
  ];
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    placeSelf(placement);
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const requests = await makeRequests();
    const authority = scope.add(await startBenchAuthority(directory, placement, requests));
    const candidates: Candidate[] = [
      bareSignature(),
      await pkiTemplate(requests),
      authority.candidate('ca: issuance, 1 a call', 1, 32),
      authority.candidate('ca: issuance, 64 a call', 64, 2),
      await peculiarX509(requests),
    ];
    const openssl = findTool('openssl');
    if (openssl === undefined) notes.push('openssl is not here: its rows are left out');
    else candidates.unshift(opensslSpeed(openssl));
    const chosen = candidates.filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(chosen, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    const { seconds, rounds } = options;
    const result = {
      benchmark: 'issuance',
      startedAt,
      machine,
      seconds,
      rounds,
      loadAverageAtEnd: loadAverage(),
      notes,
      rows,
    };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
}

const columns: readonly [Column, ...Column[]] = [
  { figure: 'cpuMicrosPerOperation', title: 'CPU µs per operation', digits: 1 },
  { figure: 'operationsPerCpuSecond', title: 'operations per CPU second', digits: 0 },
];
