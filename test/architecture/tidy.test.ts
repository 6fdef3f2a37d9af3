/** The tidy test: house rules that a compiler does not know. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot, readSourceFiles } from './source-files.ts';

const files = readSourceFiles().filter((file) => !file.path.startsWith('api/gen/'));
const program = files.filter(
  (file) => !file.path.startsWith('test/') && !file.path.endsWith('.test.ts'),
);

test('no file is longer than a reader can hold', () => {
  const long = program
    .map((file) => [file.path, file.text.split('\n').length] as const)
    .filter(([, lines]) => lines > lineCountMax);
  expect(long).toEqual([]);
});

test('every file begins by saying what it is', () => {
  const silent = program.filter((file) => !/^(#!.*\n)?\/\*\*/.test(file.text));
  expect(silent.map((file) => file.path)).toEqual([]);
});

test('file names are kebab-case', () => {
  const odd = files.filter(
    (file) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config)?\.ts$/.test(basename(file.path)),
  );
  expect(odd.map((file) => file.path)).toEqual([]);
});

test('no name says nothing', () => {
  const vague = files.filter((file) =>
    /(^|-)(utils?|helpers?|manager|types|misc|common)(-|\.ts$)/.test(basename(file.path)),
  );
  expect(vague.map((file) => file.path)).toEqual([]);
});

test('exports are named', () => {
  const defaults = files.filter((file) => file.exportsDefault && !allowedDefaults.has(file.path));
  expect(defaults.map((file) => file.path)).toEqual([]);
});

test('time, chance and the environment come in as arguments outside core/, cli/ and bench/', () => {
  const found = program
    .filter((file) => !/^(core|cli|bench)\//.test(file.path))
    .filter((file) => bannedGlobals.test(withoutComments(file.text)));
  expect(found.map((file) => file.path)).toEqual([]);
});

test('nothing is left for later without a reason', () => {
  const found = files.filter((file) =>
    /\b(TODO|FIXME|XXX|HACK)\b(?!\()/.test(withoutStrings(file.text)),
  );
  expect(
    found.map((file) => file.path).filter((path) => path !== 'test/architecture/tidy.test.ts'),
  ).toEqual([]);
});

test('the type system is not talked over', () => {
  const found = files.filter((file) =>
    /@ts-(ignore|nocheck|expect-error)|\bas any\b|\bas unknown as\b/.test(file.text),
  );
  expect(
    found.map((file) => file.path).filter((path) => path !== 'test/architecture/tidy.test.ts'),
  ).toEqual([]);
});

test('every vector file is read by a test', () => {
  const tests = files.filter((file) => file.path.endsWith('.test.ts')).map((file) => file.text);
  const orphans = walk(join(projectRoot, 'test/vectors')).filter(
    (path) =>
      !tests.some(
        (text) => text.includes(basename(path)) || text.includes(basename(join(path, '..'))),
      ),
  );
  expect(orphans).toEqual([]);
});

function walk(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? walk(path) : [path];
  });
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}

function withoutStrings(text: string): string {
  return text.replaceAll(/'[^'\n]*'|`[^`]*`/g, "''");
}

test('what is committed names no path of a machine', () => {
  const found = [...files.map((file) => [file.path, file.text] as const), ...documents()].filter(
    ([, text]) => /(^|[\s"'`(])\/(work|root|home\/[a-z]+)\//m.test(text),
  );
  expect(found.map(([path]) => path)).toEqual([]);
});

function documents(): (readonly [string, string])[] {
  return readdirSync(projectRoot)
    .filter((name) => name.endsWith('.md'))
    .map((name) => [name, readFileSync(join(projectRoot, name), 'utf8')] as const);
}

const lineCountMax = 400;
// How long a socket may be silent is the socket's own setting, and no timer of ours.
const bannedGlobals =
  /\bDate\.now\b|\bMath\.random\b|(?<!ocket\.)\bset(Timeout|Interval|Immediate)\b(?!')|\bprocess\.env\b/;
const allowedDefaults = new Set(['vitest.config.ts', 'test/reporters/closing-line.ts']);
