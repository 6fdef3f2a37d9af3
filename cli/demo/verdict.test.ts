import { expect, test } from 'vitest';
import { type Measured, rotationsWanted, shortcomings } from './verdict.ts';

const good: Measured = {
  seconds: 30,
  requests: 9000,
  failed: 0,
  newConnections: 1000,
  p50Ms: 2,
  p99Ms: 9,
  rotations: 5,
  rootRotations: 1,
  rotationProven: true,
  sidecarsTrusting: 2,
  restarts: 0,
  caRestarts: 1,
  auditVerified: true,
  auditRecords: 60,
  keysSeen: 12,
  keysOnDisk: 0,
  filesScanned: 30,
  scanTrusted: true,
};

test('a run that shows everything lacks nothing', () => {
  expect(shortcomings(good)).toEqual([]);
});

test.for([
  [{ failed: 1 }, '1 requests failed'],
  [{ requests: 0 }, 'no request was made'],
  [{ rotations: 4 }, 'a sidecar rotated 4 times, 5 were expected'],
  [{ rootRotations: 0 }, 'the root was not rotated'],
  [{ rotationProven: false }, 'the rotation of the root is not proven by the audit log'],
  [{ restarts: 1 }, '1 sidecars did not keep their process'],
  [{ caRestarts: 0 }, 'the CA was not killed and restarted'],
  [{ auditVerified: false }, 'the audit log does not verify'],
  [{ keysSeen: 0 }, 'the scan for keys on disk proves nothing'],
  [{ scanTrusted: false }, 'the scan for keys on disk proves nothing'],
  [{ keysOnDisk: 2 }, '2 keys were found on disk'],
] as const)('%o is told as "%s"', ([change, text]) => {
  expect(shortcomings({ ...good, ...change })).toEqual([text]);
});

test('five rotations are wanted in thirty seconds, and never none', () => {
  expect([20, 30, 60, 3].map(rotationsWanted)).toEqual([3, 5, 10, 1]);
});
