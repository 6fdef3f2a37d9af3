/** The Python `spiffe` package, a Workload API client nobody here wrote, fetches and watches its SVIDs. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { type ControlPlane, startControlPlane } from '../../cli/demo/control-plane.ts';
import { formatBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { FakeJwtKey } from '../fakes/fake-jwt-key.ts';
import { makeTestPki, type TestPki } from '../fakes/test-pki.ts';
import { findSpiffePython, testWith } from './peers.ts';

const spiffeId = 'spiffe://mesh.test/python';
const updateSchema = z.object({
  kind: z.enum(['fetch', 'update']),
  spiffeId: z.string(),
  serial: z.string(),
  chainLength: z.number(),
  trustDomains: z.record(z.string(), z.number()),
});

const lookSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('x509'), spiffeId: z.string(), chainLength: z.number() }),
  z.object({ kind: z.literal('error'), text: z.string() }),
  z.object({
    kind: z.literal('look'),
    spiffeId: z.array(z.string()),
    audience: z.array(z.string()),
    kid: z.string(),
    refused: z.string(),
    keys: z.record(z.string(), z.array(z.string())),
    roots: z.record(z.string(), z.number()),
  }),
]);

function rootOf(name: string): Promise<TestPki> {
  return makeTestPki({ trustDomain: parseTrustDomain(name), nowMs: Date.now() });
}

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

  // First, before the keys' half life brings a rotation of its own.
  testWith(
    findSpiffePython(),
    'the Python package spiffe',
    'fetches and validates JWT-SVIDs, and watches JWT bundles through a rotation and a federation',
    async (python) => {
      if (controlPlane === undefined) throw new Error('the control plane did not start');
      const { admin } = controlPlane;
      const pki = await rootOf('partner.test');
      await admin.setFederatedBundle('pem.test', (await rootOf('pem.test')).root.pem);
      const entry = await admin.createEntry({
        spiffeId: 'spiffe://mesh.test/python-jwt',
        parentId: controlPlane.nodeId,
        selectors: [`unix:path:${python.executable}`],
        federatesWith: ['partner.test', 'pem.test'],
        priority: 5,
      });
      const child = controlPlane.start({
        name: 'python-jwt',
        executable: python.command,
        script: join(import.meta.dirname, 'jwt_svids.py'),
        args: [controlPlane.agentSocket, 'orders', '4'],
        talks: true,
      });
      if (child.process.stdout === null) throw new Error('no output');
      const looks: Extract<z.output<typeof lookSchema>, { kind: 'look' }>[] = [];
      let next = '';
      for await (const line of createInterface({ input: child.process.stdout })) {
        const said = lookSchema.parse(JSON.parse(line));
        if (said.kind === 'error') throw new Error(said.text);
        if (said.kind === 'x509') {
          expect(said).toMatchObject({ spiffeId: 'spiffe://mesh.test/python-jwt', chainLength: 2 });
          continue;
        }
        looks.push(said);
        // Each look is the answer to the step before it.
        if (looks.length === 1) ({ id: next } = await admin.prepareAuthority('jwt'));
        if (looks.length === 2) {
          await admin.activateAuthority(next, true);
          const key = new FakeJwtKey('partner-1');
          const bundle = { ...pki.bundle, sequence: 1n, jwtAuthorities: [key] };
          await admin.setFederatedBundle('partner.test', formatBundle(bundle));
        }
        if (looks.length === 3) await admin.deleteFederatedBundle('partner.test');
      }
      expect(looks.length).toBe(4);
      for (const look of looks) {
        expect(look.spiffeId).toEqual([look.spiffeId[0], 'spiffe://mesh.test/python-jwt']);
        expect(look.audience).toEqual(['orders']);
        expect(look.refused).toContain('jwt_audience');
        // A domain of certificates alone is among the X.509 bundles and not among these.
        expect(look.roots).toMatchObject({ 'mesh.test': 1, 'pem.test': 1 });
        expect(look.keys['pem.test']).toBeUndefined();
      }
      const [first, second, third, last] = looks;
      expect(first?.keys['mesh.test']?.length).toBe(1);
      expect(second?.keys['mesh.test']).toContain(next);
      expect(third?.keys).toMatchObject({ 'partner.test': ['partner-1'] });
      expect(third?.roots).toMatchObject({ 'partner.test': 1 });
      expect(Object.keys(last?.keys ?? {})).toEqual(['mesh.test']);
      expect(last?.keys['mesh.test']).toContain(last?.kid);
      await admin.deleteEntry(entry.id);
    },
  );

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
