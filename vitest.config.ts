/** Four projects: `unit` and `contract` run all day, `system` and `interop` start real processes. */

import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const rooms = '{core,pki,spiffe,rpc,api,policies,ca,sds-server,agent,proxy,cli,bench}';

// Tests that start programs, wait for the clock on real sockets, write whole logs, or go through every kill and
// every seed: they stand beside what they test, but wait for the full run, so that `npm run check` stays
// something one does all day.
const slow = [
  ...[
    'pki-openssl',
    'crl-openssl',
    'store-level',
    'admin-api',
    'audit',
    'generated-messages',
    'node-attestor',
  ].map((name) => `test/contract/${name}.test.ts`),
  'agent/agent.test.ts',
  'ca/audit/{archive,log,recover,tail,tile,verify}.test.ts',
  'ca/audit-memory/remembered-log.test.ts',
  'ca/admin/recorded-first.test.ts',
  'ca/authority/{authorities,authorities-clock,authorities-kill,jwt-keys}.test.ts',
  'ca/authority/{overdue,rotation-simulation,upstream}.test.ts',
  'proxy/{arrival,detect,grpc,grpc-web,listeners,mutual-tls,proxy,rotation,trust}.test.ts',
  'proxy/proxy/{extended-connect,http1,http1-early,http1-unread,http2,protocols,tcp-relay,tunnel}.test.ts',
  'proxy/sds/sds-client.test.ts',
];

export default defineConfig({
  test: {
    reporters: ['default', './test/reporters/closing-line.ts'],
    // All cores: much of a run is waiting for sockets and files.
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        test: {
          name: 'unit',
          include: [`${rooms}/**/*.test.ts`, 'test/architecture/**/*.test.ts'],
          exclude: slow,
          testTimeout: 10_000,
          // No room keeps state at import, so files may share one: loading it a hundred times costs more
          // than all tests together.
          isolate: false,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          exclude: slow,
          testTimeout: 20_000,
          isolate: false,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts', ...slow],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
