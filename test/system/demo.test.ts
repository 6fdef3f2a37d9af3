/** The demo, as a newcomer runs it: everything it claims is in the JSON of its last line. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sourceRoot } from '../../cli/demo/child.ts';

test('rotates every key and the root under live traffic with no failed request', async () => {
  const { code, stdout, stderr } = await runDemo(['--json', '--seconds', '30']);
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  expect(last, stderr).toMatch(/^\{/);
  const measured = JSON.parse(last) as Record<string, number | boolean>;
  expect(measured, stderr).toMatchObject({
    failed: 0,
    rootRotations: 1,
    rotationProven: true,
    restarts: 0,
    caRestarts: 1,
    auditVerified: true,
    keysOnDisk: 0,
    scanTrusted: true,
    ok: true,
  });
  expect(measured['requests']).toBeGreaterThan(1000);
  expect(measured['newConnections']).toBeGreaterThan(100);
  expect(measured['rotations']).toBeGreaterThanOrEqual(5);
  expect(measured['sidecarsTrusting']).toBeGreaterThanOrEqual(2);
  expect(measured['keysSeen']).toBeGreaterThanOrEqual(10);
  expect(measured['auditRecords']).toBeGreaterThan(20);
  expect(code).toBe(0);
});

test('refuses a run too short to show anything', async () => {
  const { code, stderr } = await runDemo(['--seconds', '1']);
  expect(code).not.toBe(0);
  expect(stderr).toContain('20');
});

function runDemo(
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(sourceRoot, 'cli/demo/demo.ts'), ...args],
      { timeout: 110_000 },
      (error, stdout, stderr) => {
        resolve({
          code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
          stdout,
          stderr,
        });
      },
    );
  });
}
