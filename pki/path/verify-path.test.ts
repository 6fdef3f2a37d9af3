import { describe, expect, test } from 'vitest';
import { buildNowMs, type Built, extension } from '../../test/fakes/build-certificate.ts';
import {
  buildAuthority,
  buildLeaf,
  certs,
  codeOf,
  type Judged,
  judgePath,
  leafExtensions,
} from '../../test/fakes/build-path.ts';
import type { Certificate } from '../certificate.ts';
import { encodeOctetString } from '../der/encode.ts';
import { encodeAuthorityKeyId } from '../extensions/key-identifiers.ts';
import { assembleCertificate } from '../issue-certificate.ts';
import type { PathRefusalCode } from './path-refusal.ts';
import { VerifiedPairs } from './verified-pairs.ts';
import { verifyPath } from './verify-path.ts';

const root = buildAuthority({ name: 'root' });
const issuing = buildAuthority({ name: 'issuing', issuer: root }, { pathLength: 0 });
const leaf = buildLeaf({ name: 'leaf', issuer: issuing });

interface PathCase extends Partial<Judged> {
  readonly name: string;
  readonly chain: readonly Certificate[];
  readonly expected: PathRefusalCode | 'valid';
  readonly path?: readonly Certificate[];
}

describe('the path', () => {
  const middle = buildAuthority({ name: 'middle', issuer: root });
  const low = buildAuthority({ name: 'low', issuer: middle });
  const deepLeaf = buildLeaf({ name: 'deep leaf', issuer: low });
  const stranger = buildAuthority({ name: 'stranger' });
  // The root's key under a certificate of another root: both ways up must work.
  const otherRoot = buildAuthority({ name: 'other root' });
  const crossRoot = buildAuthority({ name: 'root', issuer: otherRoot, keys: root.keys });

  test.for<PathCase>([
    {
      name: 'leaf, issuing authority, root',
      chain: certs(leaf, issuing),
      expected: 'valid',
      path: certs(leaf, issuing, root),
    },
    {
      name: 'leaf issued by the root itself',
      chain: certs(buildLeaf({ name: 'x', issuer: root })),
      expected: 'valid',
    },
    {
      name: 'the root sent along',
      chain: certs(leaf, issuing, root),
      expected: 'valid',
      path: certs(leaf, issuing, root),
    },
    {
      name: 'intermediates in any order',
      chain: certs(deepLeaf, middle, stranger, low),
      expected: 'valid',
      path: certs(deepLeaf, low, middle, root),
    },
    {
      name: 'a cross-signed root',
      chain: certs(leaf, issuing, crossRoot),
      anchors: certs(otherRoot),
      expected: 'valid',
      path: certs(leaf, issuing, crossRoot, otherRoot),
    },
    {
      name: 'an intermediate as anchor',
      chain: certs(leaf),
      anchors: certs(issuing),
      expected: 'valid',
      path: certs(leaf, issuing),
    },
    { name: 'no certificate', chain: [], expected: 'chain_empty' },
    { name: 'a missing intermediate', chain: certs(leaf), expected: 'untrusted' },
    { name: 'no anchors', chain: certs(leaf, issuing), anchors: [], expected: 'untrusted' },
    {
      name: 'another root',
      chain: certs(leaf, issuing),
      anchors: certs(stranger),
      expected: 'untrusted',
    },
    {
      name: 'the leaf as its own anchor',
      chain: certs(leaf),
      anchors: certs(leaf),
      expected: 'untrusted',
    },
    {
      name: 'a self-signed leaf as anchor',
      chain: certs(root),
      anchors: certs(root),
      expected: 'untrusted',
    },
    {
      name: 'a root of the same name with another key',
      chain: certs(leaf, issuing),
      anchors: certs(buildAuthority({ name: 'root' })),
      expected: 'signature',
    },
    {
      name: 'more certificates than are read',
      chain: Array.from({ length: 17 }, () => leaf.certificate),
      expected: 'chain_length',
    },
  ])('$name', judges);

  test('key identifiers that contradict rule a candidate out before its signature is tried', () => {
    const wrongHint = buildLeaf({
      name: 'x',
      issuer: root,
      extensions: [
        ...leafExtensions(),
        extension('2.5.29.35', false, encodeAuthorityKeyId(leaf.keyId)),
      ],
    });
    expect(codeOf({ chain: certs(wrongHint), anchors: certs(root) })).toBe('valid');
    const rootWithId = buildAuthority(
      { name: 'root', keys: root.keys },
      {
        more: [extension('2.5.29.14', false, encodeOctetString(root.keyId))],
      },
    );
    expect(codeOf({ chain: certs(wrongHint), anchors: certs(rootWithId) })).toBe('untrusted');
  });

  test('a path of the greatest length is found, one longer is not', () => {
    const authorities = [root];
    while (authorities.length < 8) {
      authorities.push(
        buildAuthority({ name: `tier ${authorities.length}`, issuer: last(authorities) }),
      );
    }
    const chainTo = (tiers: number): readonly Certificate[] => {
      const used = authorities.slice(0, tiers);
      return certs(buildLeaf({ name: 'x', issuer: last(used) }), ...used.slice(1).toReversed());
    };
    expect(codeOf({ chain: chainTo(7), anchors: certs(root) })).toBe('valid');
    expect(codeOf({ chain: chainTo(8), anchors: certs(root) })).toBe('untrusted');
  });

  test('as many candidates as are looked at, and one more', () => {
    const past = buildAuthority({ name: 'root', notAfterMs: buildNowMs - 1000 }).certificate;
    const fresh = buildLeaf({ name: 'x', issuer: root });
    const behind = (count: number): string =>
      codeOf({
        chain: certs(fresh),
        anchors: [...Array.from({ length: count }, () => past), root.certificate],
      });
    expect(behind(511)).toBe('valid');
    expect(behind(512)).toBe('search_exhausted');
  });

  test('a tangle of authorities that all may have issued one another costs a bounded number of checks', () => {
    const tangled = Array.from({ length: 15 }, () => buildAuthority({ name: 'knot' }));
    const first = last(tangled);
    const rest = tangled.map(({ keys }) => buildAuthority({ name: 'knot', keys, issuer: first }));
    const chain = certs(buildLeaf({ name: 'x', issuer: first }), ...rest);
    expect(codeOf({ chain, anchors: certs(root) })).toBe('search_exhausted');
  });
});

describe('time', () => {
  const notBeforeMs = buildNowMs - 60_000;
  const notAfterMs = buildNowMs + 3_600_000;
  const chain = certs(leaf, issuing);
  const oldRoot = buildAuthority({ name: 'root', keys: root.keys, notAfterMs: buildNowMs - 1000 });
  const oldIssuing = buildAuthority({
    name: 'issuing',
    keys: issuing.keys,
    issuer: root,
    notAfterMs: buildNowMs - 1000,
  });

  test.for<PathCase>([
    { name: 'the first instant', chain, atMs: notBeforeMs, expected: 'valid' },
    { name: 'just before it', chain, atMs: notBeforeMs - 1, expected: 'not_yet_valid' },
    { name: 'the end of the final second', chain, atMs: notAfterMs + 999, expected: 'valid' },
    { name: 'just after it', chain, atMs: notAfterMs + 1000, expected: 'expired' },
    { name: 'no time at all', chain, atMs: Number.NaN, expected: 'not_yet_valid' },
    { name: 'an expired intermediate', chain: certs(leaf, oldIssuing), expected: 'expired' },
    { name: 'an expired anchor', chain, anchors: certs(oldRoot), expected: 'expired' },
    {
      name: 'an expired anchor beside its successor',
      chain,
      anchors: certs(oldRoot, root),
      expected: 'valid',
    },
  ])('$name', judges);
});

describe('remembered signatures', () => {
  test('a second path over the same authority verifies only what is new', () => {
    const verifiedPairs = new VerifiedPairs();
    const verify = (...built: readonly Built[]) =>
      verifyPath({ chain: certs(...built), anchors: certs(root), atMs: buildNowMs, verifiedPairs })
        .kind;
    expect(verify(leaf, issuing)).toBe('valid');
    expect(verifiedPairs.size).toBe(2);
    expect(verify(buildLeaf({ name: 'second', issuer: issuing }), issuing)).toBe('valid');
    expect(verifiedPairs.size).toBe(3);
  });

  test('only the signature is remembered: trust and time are judged anew', () => {
    const verifiedPairs = new VerifiedPairs();
    const chain = certs(leaf, issuing);
    const judge = (anchors: readonly Certificate[], atMs: number): string => {
      const verdict = verifyPath({ chain, anchors, atMs, verifiedPairs });
      return verdict.kind === 'refused' ? verdict.code : verdict.kind;
    };
    expect(judge(certs(root), buildNowMs)).toBe('valid');
    expect(judge([], buildNowMs)).toBe('untrusted');
    expect(judge(certs(buildAuthority({ name: 'root' })), buildNowMs)).toBe('signature');
    expect(judge(certs(root), buildNowMs + 7_200_000)).toBe('expired');
  });

  test('a refused signature is not remembered', () => {
    const verifiedPairs = new VerifiedPairs();
    const anchors = certs(buildAuthority({ name: 'issuing' }));
    verifyPath({ chain: certs(leaf), anchors, atMs: buildNowMs, verifiedPairs });
    expect(verifiedPairs.size).toBe(0);
  });

  test('the same content under another signature is another pair', () => {
    const pairs = new VerifiedPairs();
    pairs.add(issuing.certificate, leaf.certificate);
    const signature = leaf.certificate.signature.toReversed();
    const der = assembleCertificate(leaf.certificate.tbs, 'ecdsa-sha256', signature);
    expect(pairs.has(issuing.certificate, { ...leaf.certificate, der, signature })).toBe(false);
    expect(pairs.has(issuing.certificate, leaf.certificate)).toBe(true);
  });

  test('over its capacity the pair unused for longest is forgotten', () => {
    const pairs = new VerifiedPairs(2);
    const third = buildLeaf({ name: 'third', issuer: issuing });
    pairs.add(root.certificate, issuing.certificate);
    pairs.add(issuing.certificate, leaf.certificate);
    expect(pairs.has(root.certificate, issuing.certificate)).toBe(true);
    pairs.add(issuing.certificate, third.certificate);
    expect(pairs.has(issuing.certificate, leaf.certificate)).toBe(false);
    expect(pairs.has(root.certificate, issuing.certificate)).toBe(true);
  });
});

function judges({ anchors = certs(root), expected, path, ...rest }: PathCase): void {
  expect(codeOf({ anchors, ...rest })).toBe(expected);
  if (path !== undefined) expect(judgePath({ anchors, ...rest })).toEqual({ kind: 'valid', path });
}

function last(built: readonly Built[]): Built {
  const found = built.at(-1);
  if (found === undefined) throw new Error('an empty list has no last');
  return found;
}
