import { describe, expect, test } from 'vitest';
import { generateKeyPair, parseCertificate } from '../../pki/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import type { Authority, AuthoritySet, AuthorityState } from './authority.ts';
import { emptyAuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import { auditedEvidence } from './evidence.ts';
import { mintRoot } from './mint-authority.ts';
import {
  checkActivation,
  checkPreparation,
  checkRetirement,
  type DueContext,
  dueStep,
  nextDueMs,
  withActivatedRoot,
  withLeafMark,
  withPreparedRoot,
  withRenewedIssuing,
  withRetired,
} from './rotation.ts';
import { activeIssuing, activeRoot, lastLeafNotAfterMs, trustedRoots } from './slot.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const hourMs = 3_600_000;
const issuingMs = hourMs;
const due: DueContext = {
  issuingMs,
  policy: { threshold: 1, deadlineMs: hourMs, automatic: false },
  propagationOf: () => ({ nodes: 1, nodesApplied: 0, subscribers: 0, acknowledged: 0 }),
  canSign: () => true,
};
const nobody = { nodes: 0, nodesApplied: 0, subscribers: 0, acknowledged: 0 };

const template = await mintRoot({
  trustDomain: parseTrustDomain('mesh.test'),
  serial: Uint8Array.of(1),
  nowMs,
  lifetimes: {
    rootMs: 24 * hourMs,
    issuingMs,
    x509SvidMs: 600_000,
    nodeSvidMs: 600_000,
    backdateMs: 0,
  },
});

function root(id: string, state: AuthorityState = 'prepared'): Authority {
  return { ...template.authority, id, state, preparedAtMs: nowMs };
}

function issuing(id: string, parentId: string, fromMs = nowMs): Authority {
  const certificate = { ...template.authority.certificate, notAfterMs: fromMs + issuingMs };
  return {
    id,
    tier: 'issuing',
    state: 'active',
    parentId,
    certificate,
    preparedAtMs: fromMs,
    activatedAtMs: fromMs,
  };
}

/** One active root `a` with issuing `a1`. */
function begun(): AuthoritySet {
  const prepared = withPreparedRoot(emptyAuthoritySet, root('a'));
  return withActivatedRoot(prepared, 'a', issuing('a1', 'a'), nowMs);
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof AuthorityError) return error.code;
    throw error;
  }
  return 'accepted';
}

test('a prepared root is trusted at once and signs nothing', () => {
  const set = withPreparedRoot(begun(), root('b'));
  expect(trustedRoots(set).map(({ id }) => id)).toEqual(['a', 'b']);
  expect(activeRoot(set)?.id).toBe('a');
  expect(set.bundleSequence).toBe(2n);
});

test('only one root waits at a time', () => {
  expect(codeOf(() => checkPreparation(begun()))).toBe('accepted');
  expect(codeOf(() => checkPreparation(withPreparedRoot(begun(), root('b'))))).toBe(
    'authority_state',
  );
});

test('the bundle is bounded', () => {
  const drained = Array.from({ length: 8 }, (_, index) => root(`r${index}`, 'draining'));
  expect(codeOf(() => checkPreparation({ ...begun(), authorities: drained }))).toBe(
    'roots_too_many',
  );
});

describe('activation', () => {
  const set = withPreparedRoot(begun(), root('b'));
  const cases = [
    { name: 'nobody is connected', counts: nobody, code: 'accepted' },
    {
      name: 'all have it',
      counts: { nodes: 2, nodesApplied: 2, subscribers: 5, acknowledged: 5 },
      code: 'accepted',
    },
    {
      name: 'a node lacks it',
      counts: { nodes: 2, nodesApplied: 1, subscribers: 0, acknowledged: 0 },
      code: 'authority_not_propagated',
    },
    {
      name: 'a subscriber lacks it',
      counts: { nodes: 2, nodesApplied: 2, subscribers: 5, acknowledged: 4 },
      code: 'authority_not_propagated',
    },
  ];
  test.for(cases)('$name: $code', ({ counts, code }) => {
    expect(codeOf(() => checkActivation(set, 'b', counts, false))).toBe(code);
    expect(codeOf(() => checkActivation(set, 'b', counts, true))).toBe('accepted');
  });

  test('says who is missing', () => {
    const counts = { nodes: 3, nodesApplied: 2, subscribers: 7, acknowledged: 4 };
    expect(() => checkActivation(set, 'b', counts, false)).toThrow(
      'applied by 2 of 3 nodes and acknowledged by 4 of 7 SDS subscribers',
    );
  });

  test('says the share that is judged where the sums would say another', () => {
    // One node has its one sidecar, the other 10 of 20: 52 % of the sidecars, 75 % node by node.
    const uneven = { nodes: 2, nodesApplied: 2, subscribers: 21, acknowledged: 11 };
    const counts = { ...uneven, sidecarShare: 0.75 };
    expect(() => checkActivation(set, 'b', counts, false, 0.76)).toThrow(
      'acknowledged by 11 of 21 SDS subscribers (75 % node by node); 76 % are asked for',
    );
    expect(checkActivation(set, 'b', counts, false, 0.75).id).toBe('b');
    expect(auditedEvidence(counts, 0.75)).toEqual({ ...counts, threshold: 0.75 });
    expect(auditedEvidence(nobody, 1)).toEqual({ ...nobody, threshold: 1 });
  });

  test.for(['a', 'a1'])('is refused for %s, which is not a prepared root, forced or not', (id) => {
    expect(codeOf(() => checkActivation(set, id, nobody, true))).toBe('authority_state');
  });

  test('is refused for an unknown id', () => {
    expect(codeOf(() => checkActivation(set, 'zz', nobody, true))).toBe('authority_unknown');
  });

  test('makes what signed before drain, still trusted', () => {
    const after = withActivatedRoot(set, 'b', issuing('b1', 'b'), nowMs);
    expect(after.authorities.map(({ id, state }) => `${id} ${state}`)).toEqual([
      'a draining',
      'a1 draining',
      'b active',
      'b1 active',
    ]);
    expect(trustedRoots(after).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(after.bundleSequence).toBe(set.bundleSequence);
  });
});

describe('retirement', () => {
  const prepared = withPreparedRoot(begun(), root('b'));
  const rotated = withActivatedRoot(prepared, 'b', issuing('b1', 'b'), nowMs);
  const used = withLeafMark(rotated, 'a1', nowMs + 60_000);

  test('waits for the last leaf below, that last second included', () => {
    expect(lastLeafNotAfterMs(used, root('a'))).toBe(nowMs + 60_000);
    expect(codeOf(() => checkRetirement(used, 'a', nowMs + 60_999, false))).toBe(
      'authority_in_use',
    );
    expect(codeOf(() => checkRetirement(used, 'a', nowMs + 61_000, false))).toBe('accepted');
    expect(codeOf(() => checkRetirement(used, 'a', nowMs, true))).toBe('accepted');
  });

  test('says when', () => {
    expect(() => checkRetirement(used, 'a', nowMs, false)).toThrow(
      'ends at 2026-11-22T12:01:00.000Z, in 1m1s',
    );
  });

  test('of one that signs is refused even by force', () => {
    expect(codeOf(() => checkRetirement(used, 'b', nowMs, true))).toBe('authority_state');
    expect(codeOf(() => checkRetirement(used, 'b1', nowMs, true))).toBe('authority_state');
  });

  test('of one that waits abandons it', () => {
    expect(codeOf(() => checkRetirement(prepared, 'b', nowMs, false))).toBe('accepted');
    expect(trustedRoots(withRetired(prepared, 'b', nowMs)).map(({ id }) => id)).toEqual(['a']);
  });

  test('takes a root out of the bundle, and what is below it along', () => {
    const after = withRetired(used, 'a', nowMs + 61_000);
    expect(after.authorities.map(({ id, state }) => `${id} ${state}`)).toEqual([
      'a retired',
      'a1 retired',
      'b active',
      'b1 active',
    ]);
    expect(trustedRoots(after).map(({ id }) => id)).toEqual(['b']);
    expect(after.bundleSequence).toBe(used.bundleSequence + 1n);
    expect(lastLeafNotAfterMs(after, root('a'))).toBe(nowMs + 60_000);
  });

  test('of an issuing authority leaves the bundle as it is', () => {
    const after = withRetired(used, 'a1', nowMs + 61_000);
    expect(after.bundleSequence).toBe(used.bundleSequence);
  });

  test('keeps only some of the retired', () => {
    let set = begun();
    for (let index = 0; index < 50; index += 1) {
      set = withRenewedIssuing(set, issuing(`a${index + 2}`, 'a'));
      set = withRetired(set, `a${index + 1}`, nowMs + index);
    }
    const retired = set.authorities.filter(({ state }) => state === 'retired');
    expect(retired).toHaveLength(32);
    expect(retired[0]?.id).toBe('a19');
    expect(activeIssuing(set)?.id).toBe('a51');
  });
});

describe('what time makes due', () => {
  const set = begun();
  const cases = [
    { name: 'nothing before half life', set, atMs: nowMs + hourMs / 2 - 1, step: undefined },
    { name: 'renewal at half life', set, atMs: nowMs + hourMs / 2, step: 'renew_issuing' },
    { name: 'renewal long after', set, atMs: nowMs + 5 * hourMs, step: 'renew_issuing' },
    { name: 'a beginning', set: emptyAuthoritySet, atMs: nowMs, step: 'begin_root' },
    {
      name: 'a new beginning after the root has ended',
      set,
      atMs: nowMs + 25 * hourMs,
      step: 'begin_root',
    },
    {
      name: 'retirement of a drained issuing authority',
      set: withLeafMark(withRenewedIssuing(set, issuing('a2', 'a')), 'a1', nowMs + 1000),
      atMs: nowMs + 2000,
      step: 'retire',
    },
    {
      name: 'nothing while a leaf below the draining one lives',
      set: withLeafMark(withRenewedIssuing(set, issuing('a2', 'a')), 'a1', nowMs + 1000),
      atMs: nowMs + 1999,
      step: undefined,
    },
  ];
  test.for(cases)('$name', ({ set: given, atMs, step }) => {
    expect(dueStep(given, atMs, due)?.kind).toBe(step);
    expect(nextDueMs(given, issuingMs) <= atMs).toBe(step !== undefined);
  });

  test('an issuing authority that ends with its root is not renewed again and again', () => {
    const end = template.authority.certificate.notAfterMs;
    const last = withRenewedIssuing(set, issuing('a2', 'a', end - issuingMs));
    expect(dueStep(last, end - 1000, due)?.kind).not.toBe('renew_issuing');
  });

  test('a longer configured life renews what was made for a shorter one', () => {
    expect(dueStep(set, nowMs + 1, { ...due, issuingMs: 3 * issuingMs })?.kind).toBe(
      'renew_issuing',
    );
    expect(dueStep(set, nowMs + 1, due)).toBeUndefined();
  });
});

test('the minted root is what it says', () => {
  const { certificate, id } = template.authority;
  expect(parseCertificate(certificate.der).extensions.basicConstraints).toMatchObject({
    ca: true,
    pathLength: 1,
  });
  expect(id).toMatch(/^[0-9a-f]{40}$/);
  expect(generateKeyPair('ec-p256').publicKey).toBeDefined();
});
