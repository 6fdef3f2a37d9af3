/** `bench issuance`: from a certificate request to a certificate, and what the signature alone costs. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Scope } from '../../core/index.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds } from '../measurement.ts';
import { choosePlacement, placeSelf } from '../placement.ts';
import { printProfile } from '../profile.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { findTool } from '../tool.ts';
import { bareRequest } from './bare-request.ts';
import { bareSignature } from './bare-signature.ts';
import { startCfssl } from './cfssl.ts';
import { startBenchAuthority } from './certificate-authority.ts';
import { opensslSpeed } from './openssl-speed.ts';
import { peculiarX509 } from './peculiar-x509.ts';
import { pkiTemplate } from './pki-template.ts';
import { pushDelay } from './push-delay.ts';
import { issuanceCycle } from './issuance-cycle.ts';
import { makeRequests } from './requests.ts';
import { signingThreads } from './signing-threads.ts';

export interface IssuanceBenchOptions extends BenchOptions {
  /** Where to write a CPU profile of the CA. */
  readonly profile: string | undefined;
}

export async function benchIssuance(options: IssuanceBenchOptions, print: Print): Promise<void> {
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
    const profile = options.profile === undefined ? undefined : resolve(options.profile);
    if (profile !== undefined) mkdirSync(profile, { recursive: true });
    const ca = { directory, requests, policy };
    const oneCore = scope.add(
      await startBenchAuthority({ ...ca, name: 'ca', placed: placement.underTest, profile }),
    );
    // On all cores, signatures in the main thread and in the pool.
    const alone = scope.add(
      await startBenchAuthority({
        ...ca,
        name: 'ca-alone',
        placed: placement.everywhere,
        workers: 0,
      }),
    );
    const pooled = scope.add(
      await startBenchAuthority({
        ...ca,
        name: 'ca-pooled',
        placed: placement.everywhere,
        workers: 1,
      }),
    );
    const candidates: Candidate[] = [
      bareSignature(),
      bareRequest(requests),
      await pkiTemplate(requests),
      await issuanceCycle({ directory: join(directory, 'cycle'), policy, scope }, requests),
      oneCore.candidate('ca: 1 a call', 1, 32),
      oneCore.candidate('ca: 64 a call', 64, 2),
      oneCore.candidate('ca: 256 a call', 256, 2),
      signingThreads('all cores: bare, main thread', 0, placement),
      signingThreads('all cores: bare, thread pool', 3, placement),
      alone.candidate('all cores: ca, main thread', 256, 2),
      pooled.candidate('all cores: ca, thread pool', 256, 2),
      pushDelay(oneCore.node, requests),
      await peculiarX509(requests),
    ];
    const cfssl = findTool('cfssl');
    if (cfssl === undefined) {
      print('LEFT OUT: cfssl is not here (Debian: apt-get install golang-cfssl)');
      notes.push('cfssl is not here: its row is left out');
    } else {
      const peer = scope.add(await startCfssl(cfssl, directory, placement.underTest, requests));
      candidates.unshift(peer.candidate);
    }
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
    if (options.profile !== undefined) printProfile(print, options.profile);
  }
}

// One of those that are shipped: keys are judged on each request.
const policy = fileURLToPath(
  new URL('../../policies/examples/key-type-floor.yaml', import.meta.url),
);

const columns: readonly [Column, ...Column[]] = [
  { figure: 'cpuMicrosPerOperation', title: 'CPU µs per operation', digits: 1 },
  { figure: 'operationsPerCpuSecond', title: 'per CPU second', digits: 0 },
  { figure: 'mainThreadMicros', title: 'main thread µs', digits: 0 },
  { figure: 'operationsPerSecond', title: 'per second', digits: 0 },
  { figure: 'pushMsMedian', title: 'push ms, median', digits: 1 },
  { figure: 'pushMsMax', title: 'push ms, most', digits: 1 },
];
