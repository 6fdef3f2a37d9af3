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
import { processCpuMicros } from '../cpu-time.ts';
import { perOperation } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';
import { attestBenchNode, type BenchNode } from './bench-node.ts';
import { requestAt } from './requests.ts';

export interface BenchAuthority extends Closable {
  /** A candidate that sends `items` requests a call, `inFlight` calls at once. */
  candidate(name: string, items: number, inFlight: number): Candidate;
}

export async function startBenchAuthority(
  directory: string,
  placement: Placement,
  requests: readonly Uint8Array[],
): Promise<BenchAuthority> {
  const adminSocket = join(directory, 'admin.sock');
  const keyFile = join(directory, 'kek');
  writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  mkdirSync(join(directory, 'ca'), { mode: 0o700 });
  const config = writeConfig(directory, 'ca', {
    trustDomain: 'mesh.test',
    data: join(directory, 'ca'),
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: keyFile },
    // What a certificate costs is asked here, not how many a node may have.
    limits: { signingPerSecond: 1_000_000, signingPerNodePerSecond: 1_000_000 },
    logLevel: 'warn',
  });
  const ca = startProgram({
    name: 'ca',
    directory,
    command: [...placement.underTest, ...signetCommand('ca', config)],
  });
  try {
    const admin = adminClient(adminSocket);
    const { agentAddress } = await untilReady(ca, () => admin.status());
    const node = await attestBenchNode(admin, agentAddress);
    return {
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
  const callFor = async (milliseconds: number): Promise<number> => {
    const end = systemClock.monotonicMs() + milliseconds;
    let signed = 0;
    const lane = async (): Promise<void> => {
      do {
        const batch = Array.from({ length: items }, () => requestAt(requests, at++));
        const answers = await node.sign(batch);
        for (const answer of answers) check(answer);
        signed += answers.length;
      } while (systemClock.monotonicMs() < end);
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    return signed;
  };
  return {
    name,
    async measure(seconds) {
      await callFor(seconds * 200);
      const before = processCpuMicros(pid);
      const operations = await callFor(seconds * 1000);
      return [{ row: name, figures: perOperation(processCpuMicros(pid) - before, operations) }];
    },
  };
}

function check({ outcome }: SignX509SvidsResponse_Item): void {
  if (outcome?.$case === 'chain') return;
  const reason = outcome === undefined ? 'no answer' : outcome.value.detail;
  throw new BenchError('bench_answer', `the CA did not sign: ${reason}`);
}
