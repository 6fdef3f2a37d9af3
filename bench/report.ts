/** What a benchmark prints: the machine, a line a round, the table, and one JSON object if asked for. */

import { formatMachine, type Machine } from './machine.ts';
import type { Row, Sample } from './measurement.ts';
import { type Column, formatNumber, formatTable } from './table.ts';

export interface BenchOptions {
  readonly seconds: number;
  readonly rounds: number;
  readonly json: boolean;
  /** Only the candidates whose name holds this are measured. */
  readonly only: string;
}

export interface BenchResult {
  readonly benchmark: string;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly seconds: number;
  readonly rounds: number;
  readonly loadAverageAtEnd: readonly number[];
  /** What a reader must know beside the figures: how they were made, and what was left out. */
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
}

export type Print = (line: string) => void;

/** The line of one round: the first column of every sample. */
export function formatRound(
  round: number,
  options: BenchOptions,
  samples: readonly Sample[],
  column: Column,
): string {
  // Rows that are measured in another unit are in the table at the end.
  const figures = samples.flatMap(({ row, figures: { [column.figure]: value } }) =>
    value === undefined ? [] : [`${row} ${formatNumber(value, column.digits)}`],
  );
  return `round ${round} of ${options.rounds}, ${column.title}: ${figures.join(', ')}`;
}

/** The whole result, with the JSON object as its last line. */
export function printResult(
  print: Print,
  result: BenchResult,
  columns: readonly Column[],
  json: boolean,
): void {
  print('');
  print(formatTable(columns, result.rows));
  print('');
  print(`load average ${result.loadAverageAtEnd.join(' ')} at the end`);
  for (const note of result.notes) print(`* ${note}`);
  if (json) print(JSON.stringify(result));
}

export function printStart(print: Print, title: string, machine: Machine): void {
  print(title);
  print(formatMachine(machine));
}
