/** Finds the programs that interop tests need, or says loudly that they are missing. */

import { existsSync, globSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { projectRoot } from '../architecture/source-files.ts';
import { findProgram } from '../programs.ts';

export { findEnvoy } from '../../bench/envoy-wheel.ts';

const environment = join(projectRoot, '.venv');

/** The virtual environment's Python with the `spiffe` package, and the path its process will have. */
export function findSpiffePython():
  | { readonly command: string; readonly executable: string }
  | undefined {
  const command = join(environment, 'bin/python3');
  const installed = globSync(join(environment, 'lib/python3*/site-packages/spiffe/__init__.py'));
  if (!existsSync(command) || installed.length === 0) return undefined;
  return { command, executable: realpathSync(command) };
}

/** The judge of HTTP/2 that `install-peers.sh` builds, or the machine's own. */
export function findH2spec(): string | undefined {
  const built = join(environment, 'bin/h2spec');
  return existsSync(built) ? built : findProgram('h2spec');
}

/**
 * A test that needs `part`. Where it is missing the test is skipped and says how to get it; with
 * `CI=true` it fails, because there a missing part is a fault of the set-up.
 */
export function testWith<Part>(
  part: Part | undefined,
  missing: string,
  name: string,
  body: (part: Part) => Promise<void>,
  remedy = 'run test/interop/install-peers.sh',
): void {
  if (part !== undefined) {
    test(name, () => body(part));
    return;
  }
  const reason = `${missing} is missing; ${remedy}`;
  if (process.env['CI'] === 'true') {
    test(name, () => {
      throw new Error(reason);
    });
    return;
  }
  console.warn(`SKIPPED ${name}: ${reason}`);
  test.skip(name, () => {});
}
