/** `bench audit`: what a durable, provable record costs, beside a bare file and SQLite's write-ahead log. */

import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAuditLog, proveRecord, usualPace, verifyAuditLog } from '../../ca/index.ts';
import { Scope, systemClock } from '../../core/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { BenchError } from '../bench-error.ts';
import { closeOnSignal } from '../close-on-signal.ts';
import { perOperation } from '../in-process.ts';
import { inLanes } from '../lanes.ts';
import { describeMachine, loadAverage } from '../machine.ts';
import { type Candidate, measureInRounds } from '../measurement.ts';
import { type BenchOptions, formatRound, type Print, printResult, printStart } from '../report.ts';
import type { Column } from '../table.ts';
import { openBareAppend } from './bare-append.ts';
import { openSqliteLog } from './sqlite-log.ts';

export async function benchAudit(options: BenchOptions, print: Print): Promise<void> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  printStart(print, 'audit: CPU time per record, all in this process', machine);
  const notes = [
    `figures are median (least–most) of ${options.rounds} interleaved rounds of ${options.seconds} s`,
    'a record of ours is hashed into a Merkle tree with tiles and signed checkpoints; those of the peers are only kept',
    'per second says how fast the disk syncs, which on a virtual machine may be faster than any disk',
  ];
  const scope = new Scope();
  const release = closeOnSignal(scope);
  try {
    const directory = mkdtempSync(join(tmpdir(), 'signet-bench-'));
    scope.onClose(() => rmSync(directory, { recursive: true }));
    const log = await openLog(scope, join(directory, 'audit'));
    const history = await openHistory(join(directory, 'history'));
    const bare = scope.add(openBareAppend(directory));
    const sqlite = scope.add(openSqliteLog(directory));
    const line = JSON.stringify({ ...event, index: 0, time: new Date(0).toISOString() });
    const lines = (count: number): string[] => Array.from({ length: count }, () => line);
    const [one, many] = [lines(1), lines(64)];
    const candidates: Candidate[] = [
      candidate('bare file: append and sync, 1 at once', 1, async () => (bare.append(one), 1)),
      candidate('bare file: append and sync, 64 at once', 1, async () => (bare.append(many), 64)),
      candidate('sqlite WAL, synchronous=FULL, 1 at once', 1, async () => (sqlite.append(one), 1)),
      candidate('sqlite WAL, synchronous=FULL, 64 at once', 1, async () => {
        sqlite.append(many);
        return 64;
      }),
      ...[1, 8, 64, 512].map((lanes) =>
        candidate(`audit log: append, ${lanes} at once`, lanes, async () => {
          await log.append(event);
          return 1;
        }),
      ),
      candidate('audit log: verify, a record', 1, async () => {
        const verdict = await verifyAuditLog({ directory: history });
        if (verdict.kind === 'broken') throw new BenchError('bench_answer', verdict.detail);
        return historyRecords;
      }),
      candidate('audit log: prove a record', 1, async () => {
        await proveRecord({ directory: history }, Math.floor(historyRecords / 3));
        return 1;
      }),
    ];
    const chosen = candidates.filter(({ name }) => name.includes(options.only));
    const rows = await measureInRounds(chosen, {
      ...options,
      progress: (round, samples) => print(formatRound(round, options, samples, columns[0])),
    });
    const { seconds, rounds } = options;
    const loadAverageAtEnd = loadAverage();
    const how = { seconds, rounds, loadAverageAtEnd, notes, rows };
    const result = { benchmark: 'audit', startedAt, machine, ...how };
    printResult(print, result, columns, options.json);
  } finally {
    await scope.close();
    release();
  }
}

async function openLog(scope: Scope, directory: string) {
  mkdirSync(directory, { mode: 0o700 });
  const { privateKey: signKey } = generateKeyPairSync('ed25519');
  const pace = usualPace;
  return scope.add(await openAuditLog({ directory, clock: systemClock, signKey, origin, pace }));
}

/** A log that grows no more, to be read. */
async function openHistory(directory: string): Promise<string> {
  const scope = new Scope();
  const log = await openLog(scope, directory);
  for (let done = 0; done < historyRecords; done += 500) {
    await Promise.all(Array.from({ length: 500 }, () => log.append(event)));
  }
  await scope.close();
  return directory;
}

function candidate(name: string, lanes: number, ask: () => Promise<number>): Candidate {
  return {
    name,
    async measure(seconds) {
      await inLanes(lanes, seconds * 200, ask);
      const before = process.cpuUsage();
      const beganMs = systemClock.monotonicMs();
      const operations = await inLanes(lanes, seconds * 1000, ask);
      const wallMs = systemClock.monotonicMs() - beganMs;
      const { user, system } = process.cpuUsage(before);
      const operationsPerSecond = (operations / wallMs) * 1000;
      return [
        { row: name, figures: { ...perOperation(user + system, operations), operationsPerSecond } },
      ];
    },
  };
}

const columns: readonly [Column, ...Column[]] = [
  { figure: 'cpuMicrosPerOperation', title: 'CPU µs', digits: 1 },
  { figure: 'operationsPerSecond', title: 'per second', digits: 0 },
];
const origin = 'mesh.test/signet/audit';
const historyRecords = 10_000;
const id = parseSpiffeId('spiffe://mesh.test/ns/default/sa/bench');
// What a certificate leaves behind.
const event = {
  type: 'svid.issued',
  actor: { kind: 'node', id, address: '127.0.0.1:1' },
  certificate: {
    serial: '0100000001000000010123456789abcdef',
    spiffeId: id,
    spkiSha256: '0'.repeat(64),
    notBefore: '2026-11-22T12:00:00.000Z',
    notAfter: '2026-11-22T13:00:00.000Z',
    issuerKeyId: '0'.repeat(40),
    csrSha256: '0'.repeat(64),
    entryId: '00000000-0000-0000-0000-000000000000',
  },
} as const;
