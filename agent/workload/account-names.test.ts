import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { silentLogger } from '../../core/index.ts';
import { accountFile, parseAccountNames } from './account-names.ts';

test.for([
  ['root:x:0:0:root:/root:/bin/sh', [[0, 'root']]],
  ['wheel:x:10:a,b', [[10, 'wheel']]],
  ['first:x:5:\nsecond:x:5:', [[5, 'first']]],
  ['nobody:x:4294967295:', [[4294967295, 'nobody']]],
  ['big:x:4294967296:', []],
  ['spaces in name:x:5:', []],
  ['evil\u0000:x:5:', []],
  ['+::::::', []],
  ['-bad:x:5:', []],
  ['short:x', []],
  ['neg:x:-1:', []],
  ['hex:x:0x10:', []],
  ['# comment', []],
  ['', []],
] as const)('the line %j', ([text, expected]) => {
  expect([...parseAccountNames(text)]).toEqual(expected);
});

test('any text parses, and no name can be read as more than a name', () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom(
          'a',
          ':',
          '\n',
          '\t',
          '\r',
          ' ',
          '0',
          '7',
          'x',
          '-',
          '+',
          '\0',
          'é',
          '\u2028',
        ),
      }),
      (text) => {
        for (const name of parseAccountNames(text).values()) expect(name).toMatch(/^[^:\s]+$/);
      },
    ),
  );
});

test('a file is read again when it changes; too large or missing, it has no names', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'accounts-'));
  try {
    const path = join(directory, 'passwd');
    const file = accountFile(path, silentLogger);
    expect((await file.names()).size).toBe(0);
    writeFileSync(path, 'a:x:1:');
    const names = await file.names();
    expect([...names]).toEqual([[1, 'a']]);
    expect(await file.names()).toBe(names);
    writeFileSync(path, 'a:x:1:\nb:x:2:');
    expect((await file.names()).get(2)).toBe('b');
    truncateSync(path, 5 * 1024 * 1024);
    expect((await file.names()).size).toBe(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
