/**
 * `bench signing`: requests verified and signatures made on all cores, in one thread or with the thread
 * pool. A process of its own, which `bench issuance` starts, because cores are given to processes.
 */

import { z } from 'zod';
import { systemClock } from '../../core/index.ts';
import { inlineSignatures, pooledSignatures } from '../../pki/index.ts';
import type { Print } from '../report.ts';
import { requestWork } from './bare-request.ts';
import { makeRequests } from './requests.ts';

const signingResult = z.object({
  operations: z.number(),
  wallMs: z.number(),
  cpuMicros: z.number(),
});
export type SigningResult = z.output<typeof signingResult>;

export function parseSigning(text: string): SigningResult {
  return signingResult.parse(JSON.parse(text));
}

/** With 0 workers everything happens in the main thread. */
export async function benchSigning(workers: number, seconds: number, print: Print): Promise<void> {
  const work = requestWork(
    await makeRequests(),
    workers === 0 ? inlineSignatures : pooledSignatures(workers),
  );
  let at = 0;
  const runFor = async (milliseconds: number): Promise<void> => {
    const end = systemClock.monotonicMs() + milliseconds;
    const lane = async (): Promise<void> => {
      do await work(at++);
      while (systemClock.monotonicMs() < end);
    };
    await Promise.all(Array.from({ length: workers === 0 ? 1 : inFlight }, lane));
  };
  // A process that has just started must compile first.
  await runFor(seconds * 500);
  at = 0;
  const before = process.cpuUsage();
  const beganMs = systemClock.monotonicMs();
  await runFor(seconds * 1000);
  const wallMs = systemClock.monotonicMs() - beganMs;
  const { user, system } = process.cpuUsage(before);
  print(JSON.stringify({ operations: at, wallMs, cpuMicros: user + system }));
}

// As many as the CA lets begin before the first has ended.
const inFlight = 64;
