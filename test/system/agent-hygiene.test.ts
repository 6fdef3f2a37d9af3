/**
 * Where the agent's keys are, and where they are not: the memory of a real agent is searched for keys that its
 * clients were given, and so is all that it writes or shows.
 */

import { createPrivateKey } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import {
  containsKey,
  type KeyPatterns,
  keyPatternsOf,
  scanFiles,
} from '../../cli/demo/key-scan.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { certificateOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { WorkloadClient } from '../fakes/workload-client.ts';
import { countInMemory, needlesOf } from './process-memory.ts';

const directory = mkdtempSync(join(tmpdir(), 'signet-hygiene-'));
const socket = join(directory, 'run', 'agent.sock');
const cache = join(directory, 'run-agent', 'agent.sock.cache');
const isRoot = process.getuid?.() === 0;
// Half of it is the time between two keys.
const ca = new FakeCa({ svidTtlMs: 5000 });
let agent: Child;
let sds: SdsClient;
let workload: WorkloadClient;

beforeAll(async () => {
  for (const name of ['logs', 'tmp', 'config', 'run']) mkdirSync(join(directory, name));
  await ca.start();
  const me = `unix:uid:${process.getuid?.()}`;
  ca.setEntries([{ id: 'e1', spiffeId: 'spiffe://mesh.test/web', selectors: [me] }]);
  const config = writeConfig(directory, 'agent', {
    trustDomain: 'mesh.test',
    ca: { address: ca.address, rootSha256: ca.rootSha256 },
    socket,
    join: { token: 'token' },
    logLevel: 'debug',
  });
  const args = ['agent', 'run', '--config', config];
  agent = startChild({ name: 'agent', directory, script: signetScript, args });
  await waitFor('the agent serving', 20_000, () => (ca.calls.sign > 0 ? true : undefined));
  sds = new SdsClient(socket);
  workload = new WorkloadClient(socket);
});
afterAll(async () => {
  sds.close();
  workload.close();
  await agent.stop('SIGTERM');
  await ca.stop();
  rmSync(directory, { recursive: true });
});

test.runIf(isRoot)('two rotations later a key is nowhere in the memory of the agent', async () => {
  const stream = workload.svids();
  sds.ask(['default']);
  const keys: KeyPatterns[] = [];
  const nextKey = async (): Promise<void> => {
    const { length } = keys;
    await waitFor('the next key', 10_000, () => {
      const { key } = certificateOf(secretsOf(sds.last).get('default'));
      const patterns = keyPatternsOf(createPrivateKey(key));
      // Whoever asks by the Workload API is given the same.
      const same = stream.messages.at(-1)?.svids[0]?.x509SvidKey;
      if (same === undefined || !containsKey(same, patterns)) return undefined;
      if (keys.some(([scalar]) => scalar?.equals(patterns[0] ?? scalar))) return undefined;
      keys.push(patterns);
      return true;
    });
    sds.acknowledge(['default']);
    expect(keys.length).toBe(length + 1);
  };
  await nextKey();
  const first = needlesOf(keys[0]);
  // The search finds a key that is there, in each of the three forms in which the agent has it.
  const control = countInMemory(agent.pid, first);
  expect(
    control.every((count) => count > 0),
    `found ${control.join()} times`,
  ).toBe(true);
  await nextKey();
  await nextKey();
  // A sweep may be half a minute away, and each look holds up this process, in which the CA is.
  await expect
    .poll(() => countInMemory(agent.pid, first), { timeout: 60_000, interval: 1000 })
    .toEqual([0, 0, 0]);
  // And still finds the one in use.
  const { key } = certificateOf(secretsOf(sds.last).get('default'));
  const now = needlesOf(keyPatternsOf(createPrivateKey(key)));
  expect(countInMemory(agent.pid, now).some((count) => count > 0)).toBe(true);
});

test('a key is in no file, no log line, no argument and no variable of the environment', async () => {
  sds.ask(['default']);
  await waitFor('a key', 5000, () => (secretsOf(sds.last).has('default') ? true : undefined));
  const { key } = certificateOf(secretsOf(sds.last).get('default'));
  const patterns = [keyPatternsOf(createPrivateKey(key))];
  await waitFor('the cache', 5000, () => statSync(cache).size > 0 || undefined);
  const { files, hits } = scanFiles(directory, [], patterns);
  expect(hits).toEqual([]);
  // The log, the configuration and the sealed cache.
  expect(files).toBeGreaterThanOrEqual(3);
  for (const name of ['environ', 'cmdline']) {
    const shown = readFileSync(`/proc/${agent.pid}/${name}`);
    expect(shown.length).toBeGreaterThan(0);
    expect(containsKey(shown, patterns[0] ?? [])).toBe(false);
  }
});

test('no core is dumped, and what the process is belongs to the superuser', () => {
  const limits = readFileSync(`/proc/${agent.pid}/limits`, 'latin1');
  expect(limits).toMatch(/^Max core file size +0 +0 +bytes/m);
  // proc(5): of a process that is not dumpable the files belong to root, whoever runs it.
  expect(statSync(`/proc/${agent.pid}/mem`).uid).toBe(0);
  expect(statSync(`/proc/${process.pid}/mem`).uid).toBe(process.getuid?.());
});

test('the cache is for its owner alone, and the socket for whoever is attested', () => {
  expect(statSync(cache).mode & 0o777).toBe(0o600);
  expect(statSync(socket).mode & 0o777).toBe(0o777);
});
