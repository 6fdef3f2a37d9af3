/** What an audit log promises to a process that is killed: what was acknowledged is there, and verifies. */

import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAuditLog } from '../../ca/audit/log.ts';
import { verifyAuditLog } from '../../ca/audit/verify.ts';
import { systemClock } from '../../core/index.ts';

describe('audit log on a disk', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'audit-kill-'));
    const keyPath = join(directory, 'key.pem');
    await writeFile(keyPath, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  });

  afterEach(() => rm(directory, { recursive: true }));

  test('killed and restarted again and again, it loses no record that was acknowledged', async () => {
    const path = join(directory, 'audit');
    let acknowledged = -1;
    for (const count of [1, 300]) {
      acknowledged = Math.max(acknowledged, await killAfter(path, count));
      const verdict = await verifyAuditLog({ directory: path });
      expect(verdict).toMatchObject({ kind: 'ok' });
      const records = verdict.kind === 'ok' ? verdict.size + verdict.unsealed : 0;
      expect(records).toBeGreaterThan(acknowledged);
    }
    const log = await openAuditLog({
      directory: path,
      clock: systemClock,
      signKey: privateKey,
      origin: 'mesh.test/signet/audit',
    });
    const size = log.size();
    await log.close();
    expect(size).toBeGreaterThan(acknowledged);
    expect(await verifyAuditLog({ directory: path })).toMatchObject({
      kind: 'ok',
      size,
      unsealed: 0,
    });
  });

  /** The highest index that the process said was durable before it was killed. */
  async function killAfter(path: string, count: number): Promise<number> {
    const script = fileURLToPath(new URL('./audit-writer.ts', import.meta.url));
    const child = spawn(process.execPath, [script, path, join(directory, 'key.pem')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let highest = -1;
    let seen = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      highest = Math.max(highest, Number(line));
      seen += 1;
      if (seen === count) child.kill('SIGKILL');
    }
    await exited;
    return highest;
  }
});
