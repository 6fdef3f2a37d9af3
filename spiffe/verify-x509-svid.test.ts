import { describe, expect, test } from 'vitest';
import { type Certificate, VerifiedPairs } from '../pki/index.ts';
import { buildNowMs } from '../test/fakes/build-certificate.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { type Bundle, type BundleSet, bundleSetOf } from './bundle.ts';
import { verifyX509Svid } from './verify-x509-svid.ts';

const mesh = await makeTestPki({ trustDomain: 'mesh.test', nowMs: buildNowMs });
const other = await makeTestPki({ trustDomain: 'other.test', nowMs: buildNowMs });
const both = bundleSetOf([mesh.bundle, other.bundle]);

const a = await mesh.issueLeaf({ id: '/a' });
const b = await other.issueLeaf({ id: '/b' });
// An authority of one domain that speaks for another.
const forged = await other.issueLeaf({ id: 'spiffe://mesh.test/a' });
const withoutAuthorities: Bundle = { ...mesh.bundle, x509Authorities: [] };

test.for<[name: string, chain: readonly Certificate[], bundles: BundleSet, expected: string]>([
  ['an SVID of our domain', a.chain, both, 'spiffe://mesh.test/a'],
  ['an SVID of the other domain', b.chain, both, 'spiffe://other.test/b'],
  ['an ID that another domain signed', forged.chain, both, 'untrusted'],
  [
    'the same with all authorities of the other domain sent along',
    [...forged.chain, other.root.certificate, ...a.chain],
    both,
    'untrusted',
  ],
  ['a domain without a bundle', b.chain, mesh.bundles, 'bundle_unknown'],
  ['no bundles at all', a.chain, bundleSetOf([]), 'bundle_unknown'],
  [
    'a domain whose authorities were all revoked',
    a.chain,
    bundleSetOf([withoutAuthorities, other.bundle]),
    'bundle_empty',
  ],
  ['no certificate', [], both, 'chain_empty'],
  ['an authority as a peer', [mesh.issuing.certificate], both, 'svid_no_path'],
  ['the root as a peer', [mesh.root.certificate], both, 'svid_no_path'],
  ['no issuing authority', a.chain.slice(0, 1), both, 'untrusted'],
])('%s', ([, chain, bundles, expected]) => {
  expect(outcome(chain, bundles)).toBe(expected);
});

test('the path goes from the leaf to the anchor', () => {
  expect(verifyX509Svid({ chain: a.chain, bundles: both, atMs: buildNowMs })).toEqual({
    kind: 'valid',
    id: 'spiffe://mesh.test/a',
    path: [a.certificate, mesh.issuing.certificate, mesh.root.certificate],
  });
});

describe('the rules of the path hold too', () => {
  test.for([
    ['before it begins', -60_000, 'not_yet_valid'],
    ['while it holds', 0, 'spiffe://mesh.test/a'],
    ['after it ended', 3_601_000, 'expired'],
  ] as const)('%s', ([, offsetMs, expected]) => {
    expect(outcome(a.chain, both, buildNowMs + offsetMs)).toBe(expected);
  });

  test('after a rotation both generations are valid, and after retirement only the new one', async () => {
    const next = await makeTestPki({ trustDomain: 'mesh.test', nowMs: buildNowMs });
    const x509Authorities = [mesh.root.certificate, next.root.certificate];
    const rotating = bundleSetOf([{ ...mesh.bundle, sequence: 2n, x509Authorities }]);
    const renewed = await next.issueLeaf({ id: '/a' });
    expect(outcome(a.chain, rotating)).toBe('spiffe://mesh.test/a');
    expect(outcome(renewed.chain, rotating)).toBe('spiffe://mesh.test/a');
    expect(outcome(renewed.chain, next.bundles)).toBe('spiffe://mesh.test/a');
    expect(outcome(a.chain, next.bundles)).toBe('untrusted');
  });

  test('remembered signatures do not carry trust from one set of bundles to another', () => {
    const verifiedPairs = new VerifiedPairs();
    const kindWith = (bundles: BundleSet): string =>
      verifyX509Svid({ chain: a.chain, bundles, atMs: buildNowMs, verifiedPairs }).kind;
    expect(kindWith(both)).toBe('valid');
    expect(kindWith(bundleSetOf([{ ...other.bundle, trustDomain: mesh.trustDomain }]))).toBe(
      'refused',
    );
  });
});

function outcome(chain: readonly Certificate[], bundles: BundleSet, atMs = buildNowMs): string {
  const verdict = verifyX509Svid({ chain, bundles, atMs, purpose: 'serverAuth' });
  return verdict.kind === 'valid' ? verdict.id : verdict.code;
}
