/** `signet audit tail -f` waits for as long as it is let, and ends when it is told to. */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { CaFixture } from './ca-fixture.ts';

let mesh: CaFixture;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(() => mesh.end());

test.for([
  { name: 'from the files', place: () => ['--data', mesh.directory] },
  { name: 'over the socket', place: () => ['--socket', mesh.ca.adminSocket] },
])('$name, into a file', async ({ place }) => {
  const path = join(mesh.directory, 'tail.out');
  // Into a file: a pipe or a terminal would keep the process alive by itself.
  const out = openSync(path, 'w');
  const args = [signetScript, 'audit', 'tail', '-f', '-n', '1', '-o', 'json', ...place()];
  const child = spawn(process.execPath, args, { stdio: ['ignore', out, out] });
  closeSync(out);
  const ended = endOf(child);
  try {
    const printed = (): string => readFileSync(path, 'utf8');
    await waitFor('the newest record', 15_000, () => (printed() === '' ? undefined : true));
    // Several polls with nothing to print, which is when a program with nothing to do ends.
    expect(await Promise.race([ended, wait(quietMs)])).toBeUndefined();
    const { tokenId } = await newestToken();
    await waitFor('what came later', 15_000, () =>
      printed().includes(tokenId) ? true : undefined,
    );
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(
      printed()
        .trimEnd()
        .split('\n')
        .map((line) => typeof JSON.parse(line)),
    ).not.toContain('string');
  } finally {
    child.kill('SIGKILL');
  }
});

async function newestToken(): Promise<{ tokenId: string }> {
  await mesh.admin.createToken({ ttlSeconds: 60 });
  const { records } = await mesh.admin.queryAudit({ type: 'token.created' });
  return { tokenId: String(records.at(-1)?.['tokenId']) };
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve));
}

const quietMs = 2500;
