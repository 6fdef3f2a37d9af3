/** The whole CA as a process, started again and again on a store that is full. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { adminClient } from '../../api/index.ts';
import { systemClock } from '../../core/index.ts';
import { startProgram, untilReady } from '../child-program.ts';
import { peakMiB, processCpuMicros, residentMiB } from '../cpu-time.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';

export interface LoadedAuthority {
  /** Where its store is, for whoever fills it while no CA runs. */
  readonly store: string;
  readonly candidate: Candidate;
}

/** Makes a CA's data directory: its authorities, its audit log and a store with nothing else in it. */
export async function makeAuthority(
  directory: string,
  placement: Placement,
): Promise<LoadedAuthority> {
  const adminSocket = join(directory, 'admin.sock');
  const keyFile = join(directory, 'kek');
  const data = join(directory, 'ca');
  writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  mkdirSync(data, { mode: 0o700 });
  const config = writeConfig(directory, 'ca', {
    trustDomain: 'mesh.test',
    data,
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: keyFile },
    logLevel: 'warn',
  });
  const command = [...placement.underTest, ...signetCommand('ca', config)];
  const measure: Candidate['measure'] = async () => {
    const beganMs = systemClock.monotonicMs();
    const ca = startProgram({ name: 'ca', directory, command });
    try {
      const admin = adminClient(adminSocket);
      const { entries } = await untilReady(ca, () => admin.status());
      const figures = {
        startMs: systemClock.monotonicMs() - beganMs,
        startCpuMs: processCpuMicros(ca.pid) / 1000,
        rssMiB: residentMiB(ca.pid) ?? 0,
        peakMiB: peakMiB(ca.pid) ?? 0,
        entries,
      };
      return [{ row: 'signet ca: process to ready', figures }];
    } finally {
      await ca.close();
    }
  };
  await measure(0);
  const candidate = { name: 'signet ca', warmsUp: false as const, measure };
  return { store: join(data, 'store'), candidate };
}
