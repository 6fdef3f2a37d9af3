import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createOutput, formatFields, formatRelative, formatTable } from './output.ts';
import packageJson from '../package.json' with { type: 'json' };
import { configText, formatFailure } from './run-program.ts';
import { version } from './version.ts';

test('a table is aligned, without blanks at the ends of lines', () => {
  const text = formatTable(
    ['ID', 'STATE'],
    [
      ['a', 'active'],
      ['longer', ''],
    ],
    'none',
  );
  expect(text).toBe('ID      STATE\na       active\nlonger\n');
  expect(formatTable(['ID'], [], 'none')).toBe('none\n');
  expect(
    formatFields([
      ['A', '1'],
      ['Longer', '2'],
    ]),
  ).toBe('A       1\nLonger  2\n');
});

test('an answer is a table for people and JSON for programs', () => {
  const written: string[] = [];
  const write = (text: string): void => void written.push(text);
  createOutput('table', write).show({ a: 1 }, (value) => `a is ${value.a}\n`);
  createOutput('json', write).show({ a: 1 }, (value) => `a is ${value.a}\n`);
  expect(written).toEqual(['a is 1\n', '{\n  "a": 1\n}\n']);
});

test('what others chose steers no terminal and forges no line, and plain text stays', () => {
  const hostile = 'a\u001b[2J\nb\u009b\u202ec';
  const told = 'a\\u{1b}[2J\\u{a}b\\u{9b}\\u{202e}c';
  expect(formatTable(['X'], [[hostile], ['é → 日本']], '')).toBe(`X\n${told}\né → 日本\n`);
  expect(formatFields([['X', hostile]])).toBe(`X  ${told}\n`);
  const written: string[] = [];
  const output = (format: 'table' | 'json') =>
    createOutput(format, (text) => void written.push(text));
  output('table').line(hostile);
  output('table').show(hostile, (value) => `${value}\n`);
  output('json').show(hostile, () => '');
  output('json').line(JSON.stringify(hostile));
  expect(written).toEqual([
    `${told}\n`,
    'a\\u{1b}[2J\nb\\u{9b}\\u{202e}c\n',
    `${JSON.stringify(hostile)}\n`,
    `${JSON.stringify(hostile)}\n`,
  ]);
});

test('a time is told as a distance from now', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(formatRelative('2026-01-01T01:30:00Z', now)).toBe('in 1h30m');
  expect(formatRelative('2025-12-31T23:59:30Z', now)).toBe('30s ago');
});

test('flags override a config file, and stand alone without one', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cli-'));
  try {
    const path = join(directory, 'f.yaml');
    writeFileSync(path, '# kept\na: 1\nb:\n  c: 2\n');
    const { text, name } = await configText(path, [
      [['b', 'c'], '3'],
      [['d', 'e'], 'new'],
      [['a'], undefined],
    ]);
    expect(name).toBe(path);
    expect(text).toBe('# kept\na: 1\nb:\n  c: "3"\nd:\n  e: new\n');
    expect((await configText(undefined, [[['a'], 'x']])).text).toBe('a: x\n');
    // A faulty file is left as it is, so that its own faults are told with their places.
    writeFileSync(path, 'a: [1\n');
    expect((await configText(path, [[['a'], 'x']])).text).toBe('a: [1\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a failure is one line for each fault, named for the command', () => {
  expect(formatFailure(new Error('one\ntwo'))).toBe('signet: one two\n');
});

test('the version is that of the package', () => {
  expect(version).toBe(packageJson.version);
});
