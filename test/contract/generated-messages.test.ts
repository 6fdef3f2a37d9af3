/** What is committed under api/gen is what `npm run gen` makes of api/proto. */

import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../architecture/source-files.ts';

test('api/gen is up to date', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gen-'));
  try {
    const run = (command: string, args: readonly string[], cwd: string): void => {
      execFileSync(join(projectRoot, 'node_modules/.bin', command), args, { cwd, stdio: 'pipe' });
    };
    run('buf', ['generate', '--output', directory], projectRoot);
    cpSync(join(projectRoot, 'biome.json'), join(directory, 'biome.json'));
    run('biome', ['format', '--write', '.'], directory);
    const made = globSync('api/gen/**/*.ts', { cwd: directory }).toSorted();
    const committed = globSync('api/gen/**/*.ts', { cwd: projectRoot }).toSorted();
    expect(made.length).toBeGreaterThan(5);
    expect(committed).toEqual(made);
    for (const path of made) {
      expect(readFileSync(join(projectRoot, path), 'utf8'), path).toBe(
        readFileSync(join(directory, path), 'utf8'),
      );
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
