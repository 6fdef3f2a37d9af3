/** Rows of figures as text that lines up. */

import type { Row } from './measurement.ts';
import type { Spread } from './statistics.ts';

export interface Column {
  /** The name of the figure. */
  readonly figure: string;
  readonly title: string;
  readonly digits: number;
}

/** A line of titles, then one line a row; a figure reads `median (min–max)`. */
export function formatTable(columns: readonly Column[], rows: readonly Row[]): string {
  const lines = [
    ['', ...columns.map((column) => column.title)],
    ...rows.map((row) => [
      row.name,
      ...columns.map((column) => formatSpread(row.figures[column.figure], column.digits)),
    ]),
  ];
  const widths = ['', ...columns].map((_, at) =>
    Math.max(...lines.map((line) => (line[at] ?? '').length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, at) =>
          at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One figure; the extremes are left out where they read as the median does. */
export function formatSpread(spread: Spread | undefined, digits: number): string {
  if (spread === undefined) return '–';
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) =>
    formatNumber(value, digits),
  );
  return min === median && max === median ? `${median}` : `${median} (${min}–${max})`;
}

/** Thousands apart, because figures here go from below one to a hundred thousand. */
export function formatNumber(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
