import { expect, test } from 'vitest';
import { silentLogger, utf8Bytes } from '../core/index.ts';
import { formatBundle, parseTrustDomain, type TrustDomain } from '../spiffe/index.ts';
import { FakeJwtKey } from '../test/fakes/fake-jwt-key.ts';
import { bundlesSeen, noFederatedBundles, readFederatedBundles } from './federated-bundles.ts';

const own = parseTrustDomain('mesh.test');
const [other, third] = ['other.test', 'third.test'].map(parseTrustDomain) as [
  TrustDomain,
  TrustDomain,
];
const key = new FakeJwtKey('k');
const textOf = (trustDomain: TrustDomain, sequence: bigint): Uint8Array =>
  utf8Bytes(formatBundle({ trustDomain, sequence, x509Authorities: [], jwtAuthorities: [key] }));
const read = (
  pushed: Record<string, Uint8Array>,
  known = noFederatedBundles,
): typeof noFederatedBundles => readFederatedBundles(pushed, own, known, silentLogger);

test('what is pushed again is the same value, and what is not pushed any more is gone', () => {
  const first = read({ [other]: textOf(other, 1n), [third]: textOf(third, 1n) });
  expect(read({ [other]: textOf(other, 1n), [third]: textOf(third, 1n) }, first)).toBe(first);
  const next = read({ [other]: textOf(other, 2n), [third]: textOf(third, 1n) }, first);
  expect(next.get(other)?.bundle.sequence).toBe(2n);
  expect(next.get(third)).toBe(first.get(third));
  expect([...read({ [third]: textOf(third, 1n) }, next).keys()]).toEqual([third]);
});

test('a bundle that cannot be read leaves the last good one; a good one replaces it', () => {
  const first = read({ [other]: textOf(other, 1n) });
  expect(read({ [other]: utf8Bytes('{') }, first)).toBe(first);
  expect(read({ [other]: Uint8Array.of(0xff) })).toEqual(new Map());
  expect(read({ [other]: textOf(other, 2n) }, first).get(other)?.bundle.sequence).toBe(2n);
});

test('neither the own trust domain nor a name that is none comes in this way', () => {
  const pushed = { [own]: textOf(own, 1n), 'Other Test': textOf(other, 1n) };
  expect(read(pushed)).toEqual(new Map());
  expect([...read({ ...pushed, [other]: textOf(other, 1n) }).keys()]).toEqual([other]);
});

test('a workload sees its own domain and those it names, as one value for all who see the same', () => {
  const ours = new Map([
    [own, { trustDomain: own, sequence: 1n, x509Authorities: [], jwtAuthorities: [] }],
  ]);
  const federated = read({ [other]: textOf(other, 1n), [third]: textOf(third, 1n) });
  expect(bundlesSeen(ours, federated, [])).toBe(ours);
  expect(bundlesSeen(ours, federated, [parseTrustDomain('unknown.test')])).toBe(ours);
  const one = bundlesSeen(ours, federated, [other]);
  expect([...one.keys()]).toEqual([own, other]);
  expect(bundlesSeen(ours, federated, [other, other])).toBe(one);
  expect([...bundlesSeen(ours, federated, [third, other]).keys()]).toEqual([own, other, third]);
});
