/** `signet ca reseal` killed at every moment of its life: all under the old key or all under the new one. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { resealData } from '../../ca/index.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { systemRandom } from '../../core/index.ts';
import { connectNode } from './ca-client.ts';
import { signed } from './ca-fixture.ts';
import { CaProgram } from './ca-program.ts';

test('killed at any moment, one key opens everything and the other nothing', async () => {
  const mesh = new CaProgram();
  try {
    await mesh.start();
    const { node, entryId } = await mesh.join();
    const bundle = await mesh.admin.bundle();
    await mesh.stop();
    const other = join(mesh.directory, 'config', 'kek.new');
    writeFileSync(other, randomBytes(32).toString('hex'));
    let [current, next] = [mesh.kek, other];

    const wholeMs = await timed(async () => expect(await reseal(mesh, current, next)).toBe(0));
    [current, next] = [next, current];
    const sealed = await sealedUnder(mesh, current, next);
    expect(sealed).toBeGreaterThanOrEqual(4);
    [current, next] = [next, current];

    const outcomes = { old: 0, new: 0 };
    // From before the store is opened to after it is closed; most densely where the process is about to end.
    for (let kill = 0; kill < kills; kill += 1) {
      const share = 0.5 + (0.6 * kill) / kills;
      await reseal(mesh, current, next, wholeMs * share);
      const isNew = (await sealedUnder(mesh, current, next)) === undefined;
      outcomes[isNew ? 'new' : 'old'] += 1;
      // Whichever it is, it is all of them: the same number is sealed again under the other key.
      if (isNew) expect(await sealedUnder(mesh, next, current)).toBe(sealed);
      else [current, next] = [next, current];
    }
    expect(outcomes.old + outcomes.new).toBe(kills);
    expect(outcomes.old).toBeGreaterThan(0);

    // Nothing was lost on the way: the CA knows its node and signs under its old authorities.
    await mesh.start(current);
    expect(await mesh.admin.bundle()).toBe(bundle);
    const again = connectNode(await mesh.address(), node.key, node.attested);
    node.close();
    expect((await signed(again, entryId)).length).toBe(2);
    again.close();
    await mesh.stop();
    expect(await mesh.refusal(next)).toMatch(/key-encryption key/);
  } finally {
    await mesh.end();
  }
});

/** Seals everything under `next`; undefined, and nothing changed, if `old` is not the key it is sealed with. */
async function sealedUnder(
  { data }: CaProgram,
  old: string,
  next: string,
): Promise<number | undefined> {
  try {
    return await resealData({
      data,
      old: { file: old },
      next: { file: next },
      environment: {},
      random: systemRandom,
    });
  } catch (error) {
    expect(error).toMatchObject({ code: 'kek_wrong' });
    return undefined;
  }
}

/** The exit code; null when it was killed after `killMs`. */
async function reseal(
  { data }: CaProgram,
  old: string,
  next: string,
  killMs?: number,
): Promise<number | null> {
  const keys = ['--old-kek', old, '--new-kek', next];
  const args = [signetScript, 'ca', 'reseal', '--data', data, ...keys];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (killMs !== undefined) {
    await Promise.race([wait(killMs), ended]);
    child.kill('SIGKILL');
  }
  return ended;
}

async function timed(action: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}

const kills = 8;
