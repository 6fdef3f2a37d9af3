/** An unmodified Envoy that asks for its secrets by state of the world (GRPC) lives through every change with no failed request. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../cli/demo/control-plane.ts';
import { liveThroughChanges } from './envoy-life.ts';
import { findEnvoy, testWith } from './peers.ts';

describe('Envoy by state of the world', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-world-'));
  let controlPlane: ControlPlane;

  beforeAll(async () => {
    if (findEnvoy() !== undefined) controlPlane = await startControlPlane(directory, () => {});
  });
  afterAll(async () => {
    await controlPlane?.stop();
    rmSync(directory, { recursive: true });
  });

  testWith(
    findEnvoy(),
    'Envoy',
    'rotations, a refused secret, an agent killed, a CA away and a new root: no failed request',
    (envoy) => liveThroughChanges(controlPlane, envoy, 'GRPC'),
  );
});
