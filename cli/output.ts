/** What commands answer: tables for people, JSON for programs, colour only on a terminal. */

import { formatDurationMs } from '../core/index.ts';

export type OutputFormat = 'table' | 'json';

/** Where a command writes its answer. Logs and errors go to standard error, never here. */
export interface Output {
  readonly format: OutputFormat;
  /** Prints `value` as JSON, or what `table` makes of it. */
  show<T>(value: T, table: (value: T) => string): void;
  line(text: string): void;
}

export function createOutput(format: OutputFormat, write: (text: string) => void): Output {
  return {
    format,
    show: (value, table) =>
      write(
        format === 'json'
          ? `${JSON.stringify(value, undefined, 2)}\n`
          : table(value).split('\n').map(visibleText).join('\n'),
      ),
    line: (text) => write(`${format === 'json' ? text : visibleText(text)}\n`),
  };
}

/**
 * One line that is only text: much of what is shown was chosen by a workload or a peer, and none of that may
 * steer the terminal, forge a line or turn the order of what stands there. The characters are still told.
 */
export function visibleText(text: string): string {
  return text.replaceAll(
    steering,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Aligned columns under a heading; a note instead of an empty table. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  whenEmpty: string,
): string {
  if (rows.length === 0) return `${whenEmpty}\n`;
  const lines = [headings, ...rows.map((row) => row.map(visibleText))];
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Names and values under one another. */
export function formatFields(fields: readonly (readonly [string, string])[]): string {
  const shown = fields.map(([name, value]) => [visibleText(name), visibleText(value)] as const);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

/** `in 43m` or `2h ago`, for a time that a person compares with now. */
export function formatRelative(time: string, nowMs: number): string {
  const differenceMs = Date.parse(time) - nowMs;
  const text = formatDurationMs(Math.round(Math.abs(differenceMs) / 1000) * 1000);
  return differenceMs >= 0 ? `in ${text}` : `${text} ago`;
}

// Controls, line separators, and what turns the direction of text (Unicode UAX #9 §2).
const steering = /[\p{Cc}\p{Zl}\p{Zp}\u{61c}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]/gu;
