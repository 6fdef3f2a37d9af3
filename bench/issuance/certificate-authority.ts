/**
 * The certificate authority itself, as the process that it is: mutual TLS, gRPC, authorization, lint,
 * signature and the durable audit record. Only the CPU time of that process counts.
 */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { adminClient, type SignX509SvidsResponse_Item } from '../../api/index.ts';
import { type Closable, systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { startProgram, untilReady } from '../child-program.ts';
import { processCpuMicros, threadCpuMicros } from '../cpu-time.ts';
import { perOperation } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import { profileFlags } from '../profile.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';
import { attestBenchNode, type BenchNode } from './bench-node.ts';
import { inLanes } from '../lanes.ts';
import { requestAt } from './requests.ts';

export interface BenchAuthority extends Closable {
  readonly node: BenchNode;
  /** A candidate that sends `items` requests a call, `inFlight` calls at once. */
  candidate(name: string, items: number, inFlight: number): Candidate;
}

export interface BenchAuthorityOptions {
  /** Where its data and its log go. */
  readonly directory: string;
  /** What to put before its command line. */
  readonly placed: readonly string[];
  readonly requests: readonly Uint8Array[];
  /** The file of rules that each request meets. */
  readonly policy: string;
  /** What its data and its log are called there. */
  readonly name: string;
  /** Its `signingWorkers`; absent: what it chooses itself. */
  readonly workers?: number;
  /** Where to write a CPU profile of it. */
  readonly profile?: string | undefined;
}

export async function startBenchAuthority(options: BenchAuthorityOptions): Promise<BenchAuthority> {
  const { directory, name: own, placed, requests, policy, workers, profile } = options;
  const adminSocket = join(directory, `${own}.sock`);
  const keyFile = join(directory, `${own}.kek`);
  writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  mkdirSync(join(directory, own), { mode: 0o700 });
  const config = writeConfig(directory, own, {
    trustDomain: 'mesh.test',
    data: join(directory, own),
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: keyFile },
    policy,
    // What a certificate costs is asked here, not how many a node may have.
    limits: { signingPerSecond: 1_000_000, signingPerNodePerSecond: 1_000_000 },
    ...(workers === undefined ? {} : { signingWorkers: workers }),
    logLevel: 'warn',
  });
  const ca = startProgram({
    name: own,
    directory,
    command: [...placed, ...signetCommand('ca', config, profileFlags(profile))],
  });
  try {
    const admin = adminClient(adminSocket);
    const { agentAddress } = await untilReady(ca, () => admin.status());
    const node = await attestBenchNode(admin, agentAddress);
    return {
      node,
      candidate: (name, items, inFlight) =>
        signing({ name, items, inFlight, node, pid: ca.pid, requests }),
      async close() {
        await node.close();
        await ca.close();
      },
    };
  } catch (error) {
    await ca.close();
    throw error;
  }
}

interface Signing {
  readonly name: string;
  readonly items: number;
  readonly inFlight: number;
  readonly node: BenchNode;
  readonly pid: number;
  readonly requests: readonly Uint8Array[];
}

function signing({ name, items, inFlight, node, pid, requests }: Signing): Candidate {
  let at = 0;
  const runFor = (milliseconds: number): Promise<number> =>
    inLanes(inFlight, milliseconds, async () => {
      const batch = Array.from({ length: items }, () => requestAt(requests, at++));
      const answers = await node.sign(batch);
      for (const answer of answers) check(answer);
      return answers.length;
    });
  return {
    name,
    async measure(seconds) {
      await runFor(seconds * 200);
      const [before, mainBefore] = [processCpuMicros(pid), threadCpuMicros(pid, pid)];
      const beganMs = systemClock.monotonicMs();
      const operations = await runFor(seconds * 1000);
      const wallMs = systemClock.monotonicMs() - beganMs;
      const figures = {
        ...perOperation(processCpuMicros(pid) - before, operations),
        mainThreadMicros: (threadCpuMicros(pid, pid) - mainBefore) / operations,
        operationsPerSecond: (operations / wallMs) * 1000,
      };
      return [{ row: name, figures }];
    },
  };
}

function check({ outcome }: SignX509SvidsResponse_Item): void {
  if (outcome?.$case === 'chain') return;
  const reason = outcome === undefined ? 'no answer' : outcome.value.detail;
  throw new BenchError('bench_answer', `the CA did not sign: ${reason}`);
}
