/** The benchmarks run and say what they measured. Nothing is timed here. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../architecture/source-files.ts';

interface Result {
  readonly benchmark: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly figures: Readonly<Record<string, { median: number; min: number; max: number }>>;
  }[];
}

test.for([
  {
    benchmark: 'issuance',
    rows: [
      'crypto.sign',
      'pki: CSR → certificate',
      'ca: issuance, 1 a call',
      'ca: issuance, 64 a call',
      '@peculiar/x509: CSR → certificate',
    ],
    beside: { openssl: ['openssl speed: sign', 'openssl speed: verify'] },
    figure: 'cpuMicrosPerOperation',
  },
  {
    benchmark: 'proxy',
    rows: ['plaintext: signet', 'mTLS: signet'],
    beside: { nginx: ['plaintext: nginx', 'mTLS: nginx'] },
    figure: 'cpuMicrosPerRequest',
  },
] as const)('bench $benchmark prints a table and one JSON object', async (expected) => {
  const { benchmark, figure } = expected;
  const { stdout } = await run(
    process.execPath,
    [benchScript, benchmark, '--seconds', '0.2', '--rounds', '1', '--json'],
    { cwd: projectRoot },
  );
  const lines = stdout.trim().split('\n');
  const result = JSON.parse(lines.at(-1) ?? '') as Result;
  expect(result.benchmark).toBe(benchmark);
  expect(result.machine['cpu']).toEqual(expect.any(String));

  // A program that is not on this machine has no rows, and the notes say so.
  const wanted = Object.entries(expected.beside).flatMap(([tool, rows]) =>
    result.notes.some((note) => note.startsWith(`${tool} is not here`)) ? [] : rows,
  );
  const names = result.rows.map((row) => row.name);
  expect(new Set(names)).toEqual(new Set<string>([...expected.rows, ...wanted]));
  for (const name of names) expect(lines.some((line) => line.startsWith(name))).toBe(true);
  for (const row of result.rows) {
    const { median, min, max } = row.figures[figure] ?? { median: 0, min: 0, max: 0 };
    expect([min, median, max].every((value) => value > 0 && Number.isFinite(value))).toBe(true);
  }
  expect(lines.some((line) => line.startsWith('round 1 of 1'))).toBe(true);
});

test.for([
  [['proxy', '--rounds', '0'], 'a number above 0 is needed'],
  [['issuance', '--rounds', '1.5'], 'a whole number is needed'],
  [['both'], "unknown command 'both'"],
] as const)('%o is refused with the reason', async ([args, reason]) => {
  const failed = run(process.execPath, [benchScript, ...args], { cwd: projectRoot });
  await expect(failed).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(reason) });
});

const benchScript = join(projectRoot, 'bench/bench.ts');
const run = promisify(execFile);
