/**
 * The issuance cycle as the CA runs it, without gRPC and TLS around it: authorization, proof of possession, policy,
 * serial, lint, signature and the durable audit record, over a real store and a real log.
 */

import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  defaultLifetimes,
  createKeyStore,
  type IssuanceDeps,
  issueX509Svid,
  openAuditLog,
  openAuthorities,
  openLevelStore,
  openPolicyFile,
  openSerials,
  parseSelector,
  usualPace,
} from '../../ca/index.ts';
import { type Scope, silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { BenchError } from '../bench-error.ts';
import { inProcess } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import { requestAt } from './requests.ts';

/** `policy` is a file of rules that each request meets on its way, as an operator would have them. */
export async function issuanceCycle(
  options: CycleOptions,
  requests: readonly Uint8Array[],
): Promise<Candidate> {
  const deps = await openCycle(options);
  const subject = { kind: 'workload', caller: node, entryId: entry.id } as const;
  return inProcess({
    name: 'cycle: CSR → durable certificate, in process',
    // As many as an agent asks for in one call: their records share a sync.
    inFlight: 64,
    async run(at) {
      const outcome = await issueX509Svid(deps, { subject, csr: requestAt(requests, at) });
      if (outcome.kind === 'refused') throw new BenchError('bench_answer', outcome.detail);
    },
  });
}

export interface CycleOptions {
  /** Where its store and its log go. */
  readonly directory: string;
  readonly policy: string;
  readonly scope: Scope;
}

async function openCycle({ directory, policy, scope }: CycleOptions): Promise<IssuanceDeps> {
  const clock = systemClock;
  const store = scope.add(await openLevelStore({ directory: join(directory, 'store') }));
  const audit = scope.add(
    await openAuditLog({
      directory: join(directory, 'audit'),
      clock,
      signKey: generateKeyPairSync('ed25519').privateKey,
      origin: `${trustDomain}/signet/audit`,
      pace: usualPace,
    }),
  );
  const serials = await openSerials(store, systemRandom);
  const lifetimes = defaultLifetimes;
  const authorities = scope.add(
    await openAuthorities({
      store,
      keyStore: createKeyStore(createSecretKey(randomBytes(32)), systemRandom),
      audit,
      clock,
      log: silentLogger,
      trustDomain,
      lifetimes,
      nextSerial: () => serials.next(),
    }),
  );
  const nodeSelectors = (): readonly string[] => ['join_token:bench'];
  const { judge } = await openPolicyFile(policy, {
    clock,
    audit,
    log: silentLogger,
    nodeSelectors,
  });
  return {
    trustDomain,
    lifetimes,
    clock,
    authorities,
    serials,
    audit,
    ...(judge === undefined ? {} : { policy: judge }),
    onIssued: () => {},
    isNode: async (id) => id === node.id,
    authorizedEntry: (nodeId, entryId) =>
      nodeId === node.id && entryId === entry.id ? entry : undefined,
  };
}

const trustDomain = parseTrustDomain('mesh.test');
const node = {
  id: parseSpiffeId('spiffe://mesh.test/signet/node/join-token/bench'),
  address: '127.0.0.1:1',
};
const entry = {
  id: 'bench',
  spiffeId: parseSpiffeId('spiffe://mesh.test/ns/default/sa/bench'),
  parentId: node.id,
  selectors: [parseSelector('unix:uid:1000')],
  dnsNames: [],
  hint: '',
  federatesWith: [],
  admin: false,
  priority: 0,
  createdAtMs: 0,
  revision: 1,
};
