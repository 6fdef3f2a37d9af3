import { describe, expect, test } from 'vitest';
import { createPublicKey } from 'node:crypto';
import { generateKeyPair } from '../../pki/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import type { Propagation } from './evidence.ts';
import type { JwtKey } from './jwt-key.ts';
import { mintRoot } from './mint-authority.ts';
import { type Plan, type PlanEntry, planRotation } from './plan.ts';
import { planJwtRotation } from './plan-jwt.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const second = 1000;
const minute = 60 * second;
const lifetimes = {
  rootMs: 24 * 60 * minute,
  issuingMs: 60 * minute,
  x509SvidMs: 10 * minute,
  nodeSvidMs: 5 * minute,
  backdateMs: 0,
};
const policy = { threshold: 0.9, deadlineMs: 30 * minute, automatic: true };
const template = (
  await mintRoot({
    trustDomain: parseTrustDomain('mesh.test'),
    serial: Uint8Array.of(1),
    nowMs,
    lifetimes,
  })
).authority;

function root(id: string, fields: Partial<Authority>): Authority {
  return { ...template, id, preparedAtMs: nowMs - minute, ...fields };
}

const counts = (nodesApplied: number, acknowledged: number): Propagation => ({
  nodes: 10,
  nodesApplied,
  subscribers: 20,
  acknowledged,
});

function planOf(authorities: readonly Authority[], propagation = counts(10, 20)): Plan {
  const set: AuthoritySet = { authorities, bundleSequence: 1n };
  return planRotation({ set, nowMs, lifetimes, policy, propagationOf: () => propagation });
}

function shapes({ steps }: { readonly steps: readonly PlanEntry[] }): string[] {
  return steps.map(({ step, state, authorityId = '-', atMs, isEstimate }) => {
    const at = atMs === undefined ? '-' : `${isEstimate ? '~' : ''}${(atMs - nowMs) / second}`;
    return `${step} ${state} ${authorityId} ${at}`;
  });
}

// The root of the last rotation: 50 % had it 2 s after its first push, 90 % after 8 s, all after 60 s.
const arrivals = [
  { share: 0.5, atMs: nowMs - 98 * second },
  { share: 0.9, atMs: nowMs - 92 * second },
  { share: 1, atMs: nowMs - 40 * second },
];
const measured = root('old', {
  state: 'active',
  pushedAtMs: nowMs - 100 * second,
  arrivals,
  lastLeafNotAfterMs: nowMs + 2 * minute,
});
const unmeasured = root('old', { state: 'active' });

describe('a rotation of the root', () => {
  test.for<[string, readonly Authority[], Propagation, readonly string[]]>([
    [
      'that never was: nothing is promised but what needs no measurement',
      [unmeasured],
      counts(10, 20),
      ['prepare ready - -', 'publish blocked - -', 'activate blocked - -', 'retire blocked old -'],
    ],
    [
      'after one that was measured: estimates from the arrivals, and a leaf’s life after it',
      [measured],
      counts(10, 20),
      [
        'prepare ready - -',
        'publish blocked - ~8',
        'activate blocked - ~8',
        'retire blocked old ~609',
      ],
    ],
    [
      'under way: from its own first push',
      [measured, root('new', { state: 'prepared', pushedAtMs: nowMs - 3 * second })],
      counts(5, 5),
      [
        'prepare done new -60',
        'publish waiting new ~5',
        'activate blocked - ~5',
        'retire blocked old ~606',
      ],
    ],
    [
      'that took longer than the one before: due now, and still an estimate',
      [measured, root('new', { state: 'prepared', pushedAtMs: nowMs - 20 * second })],
      counts(5, 5),
      [
        'prepare done new -60',
        'publish waiting new ~0',
        'activate blocked - ~0',
        'retire blocked old ~601',
      ],
    ],
    [
      'published: it may sign now',
      [measured, root('new', { state: 'published', publishedAtMs: nowMs - 2 * second })],
      counts(9, 18),
      [
        'prepare done new -60',
        'publish done new -2',
        'activate ready new 0',
        'retire blocked old ~601',
      ],
    ],
    [
      'published, and somebody came since',
      [measured, root('new', { state: 'published', publishedAtMs: nowMs - 2 * second })],
      counts(8, 18),
      [
        'prepare done new -60',
        'publish done new -2',
        'activate waiting new -',
        'retire blocked old -',
      ],
    ],
    [
      'that drains: exactly until the last leaf under the old one has ended',
      [
        { ...measured, state: 'draining' },
        root('new', {
          state: 'active',
          publishedAtMs: nowMs - 20 * second,
          activatedAtMs: nowMs - 10 * second,
        }),
      ],
      counts(10, 20),
      [
        'prepare done new -60',
        'publish done new -20',
        'activate done new -10',
        'retire waiting old 121',
      ],
    ],
    [
      'that has drained',
      [
        { ...measured, state: 'draining', lastLeafNotAfterMs: nowMs - 1000 },
        root('new', { state: 'active' }),
      ],
      counts(10, 20),
      [
        'prepare done new -60',
        'publish done new -60',
        'activate done new -60',
        'retire ready old 0',
      ],
    ],
  ])('%s', ([, authorities, propagation, expected]) => {
    expect(shapes(planOf(authorities, propagation))).toEqual(expected);
  });

  test('has a deadline until it is published, and none after', () => {
    const prepared = planOf([measured, root('new', { state: 'prepared' })]);
    expect(prepared.deadlineMs).toBe(nowMs + 29 * minute);
    expect(planOf([measured, root('new', { state: 'published' })]).deadlineMs).toBeUndefined();
    expect(planOf([measured]).deadlineMs).toBeUndefined();
  });

  test('tells what was measured, after the first push', () => {
    expect(planOf([measured]).arrivals).toEqual([
      { share: 0.5, afterMs: 2000 },
      { share: 0.9, afterMs: 8000 },
      { share: 1, afterMs: 60_000 },
    ]);
  });

  test('says why, with counts', () => {
    const reasons = planOf([measured, root('new', { state: 'prepared' })], counts(9, 5)).steps.map(
      ({ reason }) => reason,
    );
    expect(reasons[1]).toMatch(
      /^applied by 9 of 10 nodes and acknowledged by 5 of 20 .* 90 % are asked for; .* 8s after/,
    );
    expect(planOf([unmeasured]).steps[3]?.reason).toMatch(/^safe 10m after activation/);
  });
});

describe('a rotation of the JWT key', () => {
  const publicKey = createPublicKey(generateKeyPair('ec-p256').privateKey);
  const key = (id: string, state: JwtKey['state'], fields: Partial<JwtKey> = {}): JwtKey => ({
    id,
    state,
    publicKey,
    preparedAtMs: nowMs - minute,
    notAfterMs: nowMs + 59 * minute,
    ...fields,
  });
  const old = key('old', 'active');
  const planJwt = (keys: readonly JwtKey[], nodesApplied = 10) =>
    planJwtRotation({
      keys,
      nowMs,
      tokenMs: 5 * minute,
      policy,
      propagationOf: () => ({ ...counts(nodesApplied, 0), subscribers: 0 }),
    });

  test.for<[string, readonly JwtKey[], number, readonly string[]]>([
    [
      'not begun',
      [old],
      10,
      ['prepare ready - -', 'publish blocked - -', 'activate blocked - -', 'retire blocked old -'],
    ],
    [
      'waits for the nodes',
      [old, key('new', 'prepared')],
      5,
      [
        'prepare done new -60',
        'publish waiting new -',
        'activate blocked - -',
        'retire blocked old -',
      ],
    ],
    [
      'waits for verifiers that poll: five minutes after it was published',
      [old, key('new', 'published', { publishedAtMs: nowMs - 30 * second })],
      10,
      [
        'prepare done new -60',
        'publish done new -30',
        'activate waiting new 270',
        'retire blocked old ~571',
      ],
    ],
    [
      'may sign',
      [old, key('new', 'published', { publishedAtMs: nowMs - 6 * minute })],
      10,
      [
        'prepare done new -60',
        'publish done new -360',
        'activate ready new 0',
        'retire blocked old ~301',
      ],
    ],
    [
      'might sign, but somebody came since',
      [old, key('new', 'published', { publishedAtMs: nowMs - 6 * minute })],
      8,
      [
        'prepare done new -60',
        'publish done new -360',
        'activate waiting new -',
        'retire blocked old -',
      ],
    ],
    [
      'with nothing else that signs does not wait for those who poll',
      [
        key('old', 'draining', { taintedAtMs: nowMs }),
        key('new', 'published', { publishedAtMs: nowMs - second }),
      ],
      10,
      [
        'prepare done new -60',
        'publish done new -1',
        'activate ready new 0',
        'retire blocked - ~301',
      ],
    ],
    [
      'drains until the last token under the old key has ended',
      [
        key('old', 'draining', { lastTokenNotAfterMs: nowMs + 2 * minute }),
        key('new', 'active', { publishedAtMs: nowMs - 40 * second, activatedAtMs: nowMs }),
      ],
      10,
      [
        'prepare done new -60',
        'publish done new -40',
        'activate done new 0',
        'retire waiting old 121',
      ],
    ],
  ])('%s', ([, keys, nodesApplied, expected]) => {
    expect(shapes(planJwt(keys, nodesApplied))).toEqual(expected);
  });

  test('has a deadline until it is published', () => {
    expect(planJwt([old, key('new', 'prepared')]).deadlineMs).toBe(nowMs + 29 * minute);
    expect(planJwt([old, key('new', 'published')]).deadlineMs).toBeUndefined();
  });
});
