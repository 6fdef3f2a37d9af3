import { expect, test } from 'vitest';
import type { SecretReport } from '../../api/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { boundedReports, secretStandings } from './secret-standings.ts';

const a = parseSpiffeId('spiffe://mesh.test/signet/node/a');
const b = parseSpiffeId('spiffe://mesh.test/signet/node/b');
const report = (changes: Partial<SecretReport>): SecretReport => ({
  authorityKeyId: 'aa',
  secretVersion: 'v1',
  acknowledged: 1,
  refused: 0,
  waiting: 0,
  refusals: [],
  ...changes,
});
const refusal = (sinceMs: bigint) => ({
  spiffeId: 'spiffe://mesh.test/web',
  name: 'default',
  error: 'no',
  sinceMs,
});

test('the reports of nodes add up, by authority and by version', () => {
  const standings = secretStandings([
    [a, [report({}), report({ secretVersion: 'v2', waiting: 2 })]],
    [b, [report({ refused: 1, refusals: [refusal(7n)] })]],
  ]);
  expect(standings).toEqual({
    authorities: [
      { authorityKeyId: 'aa', versions: 2, acknowledged: 3, refused: 1, waiting: 2, nodes: 2 },
    ],
    versions: [
      { authorityKeyId: 'aa', version: 'v1', acknowledged: 2, refused: 1, waiting: 0, nodes: 2 },
      { authorityKeyId: 'aa', version: 'v2', acknowledged: 1, refused: 0, waiting: 2, nodes: 1 },
    ],
    refusals: [
      {
        nodeId: b,
        spiffeId: 'spiffe://mesh.test/web',
        name: 'default',
        version: 'v1',
        error: 'no',
        sinceMs: 7,
      },
    ],
  });
});

test('what one node may tell is bounded', () => {
  const refusals = Array.from({ length: 100 }, () => ({ ...refusal(0n), error: 'e'.repeat(9999) }));
  const reports = boundedReports(
    Array.from({ length: 1000 }, (_, index) =>
      report({ secretVersion: `${index}${'v'.repeat(999)}`, refusals }),
    ),
  );
  expect(reports).toHaveLength(256);
  expect(reports[0]?.refusals).toHaveLength(20);
  expect(reports[0]?.refusals[0]?.error).toHaveLength(512);
  expect(reports[0]?.secretVersion).toHaveLength(128);
  const standings = secretStandings([[a, reports]]);
  expect(standings.versions).toHaveLength(100);
  expect(standings.refusals).toHaveLength(100);
  expect(standings.authorities).toMatchObject([{ versions: 256, acknowledged: 256 }]);
});
