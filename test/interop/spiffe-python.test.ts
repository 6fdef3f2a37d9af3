/** The Python `spiffe` package, a Workload API client nobody here wrote, fetches and watches its SVIDs. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { type ControlPlane, startControlPlane } from '../../cli/demo/control-plane.ts';
import { findSpiffePython, testWith } from './peers.ts';

const spiffeId = 'spiffe://mesh.test/python';
const updateSchema = z.object({
  kind: z.enum(['fetch', 'update']),
  spiffeId: z.string(),
  serial: z.string(),
  chainLength: z.number(),
  trustDomains: z.record(z.string(), z.number()),
});

describe('the Python spiffe package', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-python-'));
  let controlPlane: ControlPlane | undefined;

  beforeAll(async () => {
    if (findSpiffePython() !== undefined)
      controlPlane = await startControlPlane(directory, () => {});
  });
  afterAll(async () => {
    await controlPlane?.stop();
    rmSync(directory, { recursive: true });
  });

  testWith(
    findSpiffePython(),
    'the Python package spiffe',
    'fetches and watches X.509 SVIDs as they rotate',
    async (python) => {
      if (controlPlane === undefined) throw new Error('the control plane did not start');
      await controlPlane.admin.createEntry({
        spiffeId,
        parentId: controlPlane.nodeId,
        selectors: [`unix:path:${python.executable}`],
      });
      const child = controlPlane.start({
        name: 'python',
        executable: python.command,
        script: join(import.meta.dirname, 'watch_x509_svids.py'),
        args: [controlPlane.agentSocket, '4'],
        talks: true,
      });
      const updates: z.output<typeof updateSchema>[] = [];
      if (child.process.stdout === null) throw new Error('no output');
      for await (const line of createInterface({ input: child.process.stdout })) {
        updates.push(updateSchema.parse(JSON.parse(line)));
      }
      expect(updates[0]?.kind).toBe('fetch');
      expect(new Set(updates.map((update) => update.spiffeId))).toEqual(new Set([spiffeId]));
      expect(new Set(updates.map((update) => update.serial)).size).toBeGreaterThanOrEqual(4);
      for (const update of updates) expect(update.chainLength).toBe(2);
      expect(updates.at(-1)?.trustDomains).toEqual({ 'mesh.test': 1 });
    },
  );
});
