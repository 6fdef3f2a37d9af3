import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { systemRandom } from '../../core/index.ts';
import { generateKeyPair, type KeyKind, keySigner } from '../../pki/index.ts';
import {
  bundleSetOf,
  type JwtAuthority,
  parseSpiffeId,
  parseTrustDomain,
  verifyJwtSvid,
} from '../../spiffe/index.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import type { JwtKeys } from '../authority/jwt-keys.ts';
import { keysDocument } from '../oidc/discovery.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { parseSelector } from '../registry/selector.ts';
import { jwsSigner } from './jws-signer.ts';
import {
  type MintDeps,
  type MintedJwtSvid,
  mintJwtSvid,
  type MintRequest,
} from './mint-jwt-svid.ts';

const startMs = Date.parse('2026-11-22T12:00:00.700Z');
const trustDomain = parseTrustDomain('mesh.test');
const nodeId = parseSpiffeId('spiffe://mesh.test/signet/node/join-token/00');
const entry: RegistrationEntry = {
  id: 'entry-1',
  spiffeId: parseSpiffeId('spiffe://mesh.test/web'),
  parentId: nodeId,
  selectors: [parseSelector('unix:uid:1000')],
  dnsNames: [],
  hint: '',
  federatesWith: [],
  admin: false,
  priority: 0,
  createdAtMs: startMs,
  revision: 1,
};
const request: MintRequest = {
  actor: { kind: 'node', id: nodeId, address: '10.0.0.1:5' },
  entry,
  nodeId,
  audience: ['orders'],
};

function keysOf(kind: KeyKind, notAfterMs: number): { keys: JwtKeys; authority: JwtAuthority } {
  const { privateKey, publicKey } = generateKeyPair(kind);
  const current = { kid: 'key-1', signer: keySigner(privateKey), notAfterMs };
  return { keys: { current: () => current }, authority: { keyId: 'key-1', publicKey } };
}

const { keys, authority } = keysOf('ec-p256', startMs + 3_600_000);
let clock: ManualClock;
let audit: RecordingAuditLog;
let deps: MintDeps;

beforeEach(() => {
  clock = new ManualClock(startMs);
  audit = new RecordingAuditLog();
  deps = {
    clock,
    random: systemRandom,
    keys,
    audit,
    lifetimes: { ttlMs: 300_000, ttlMsMax: 1_800_000 },
  };
});

async function minted(changes: Partial<MintRequest> = {}): Promise<MintedJwtSvid> {
  const outcome = await mintJwtSvid(deps, { ...request, ...changes });
  if (outcome.kind === 'minted') return outcome;
  throw new Error(outcome.detail);
}

function bundles(by: JwtAuthority = authority): ReturnType<typeof bundleSetOf> {
  return bundleSetOf([{ trustDomain, sequence: 1n, x509Authorities: [], jwtAuthorities: [by] }]);
}

describe('a token', () => {
  test('does not leave when its node was removed while it was made', async () => {
    const removed = { ...deps, nodeStands: async () => false };
    const outcome = await mintJwtSvid(removed, request);
    expect(outcome).toMatchObject({ kind: 'refused', code: 'node_unknown' });
    expect(audit.types()).toEqual(['jwt.issued', 'jwt.denied']);
    const standing = { ...deps, nodeStands: async (id: string) => id === nodeId };
    expect((await mintJwtSvid(standing, request)).kind).toBe('minted');
    // No node is in between where an operator asks.
    const { nodeId: _nodeId, ...asked } = request;
    expect((await mintJwtSvid(removed, asked)).kind).toBe('minted');
  });

  test('does not leave when its ID was blocked while it was made', async () => {
    deps = { ...deps, whyBlocked: () => (audit.size() > 0 ? 'stolen' : undefined) };
    const outcome = await mintJwtSvid(deps, request);
    expect(outcome).toMatchObject({ kind: 'refused', code: 'id_blocked', detail: 'stolen' });
  });

  test('has the header and the claims of the standard, always with kid and jti', async () => {
    const { token, jti } = await minted();
    const [header = '', claims = ''] = token.split('.');
    const decode = (part: string): unknown =>
      JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    const issuedAt = Math.floor(startMs / 1000);
    expect(decode(header)).toEqual({ alg: 'ES256', kid: 'key-1', typ: 'JWT' });
    expect(decode(claims)).toEqual({
      aud: ['orders'],
      exp: issuedAt + 300,
      iat: issuedAt,
      jti,
      sub: 'spiffe://mesh.test/web',
    });
    expect(jti).toMatch(/^[0-9a-f]{32}$/);
    expect((await minted()).jti).not.toBe(jti);
  });

  test('is verified by us and by jose, and by neither when it has ended', async () => {
    deps = { ...deps, issuer: 'https://oidc.mesh.test' };
    const { token, expiresAtMs } = await minted();
    const ours = (atMs: number): string =>
      verifyJwtSvid({ token, audience: 'orders', bundles: bundles(), atMs }).kind;
    expect([ours(expiresAtMs - 1), ours(expiresAtMs)]).toEqual(['valid', 'refused']);
    const set: unknown = JSON.parse(keysDocument({ jwtAuthorities: [authority] }));
    const theirs = (atMs: number): Promise<unknown> =>
      jwtVerify(token, createLocalJWKSet(Object.assign({ keys: [] }, set)), {
        issuer: 'https://oidc.mesh.test',
        audience: 'orders',
        algorithms: ['ES256'],
        currentDate: new Date(atMs),
      });
    await expect(theirs(expiresAtMs - 1)).resolves.toMatchObject({
      payload: { sub: entry.spiffeId },
    });
    await expect(theirs(expiresAtMs)).rejects.toThrow('exp');
  });

  test.for<[string, Partial<MintRequest>, number]>([
    ['the default life', {}, 300],
    ['as asked', { ttlMs: 60_000 }, 60],
    ['a second at least', { ttlMs: 300 }, 1],
    ['cut to the maximum', { ttlMs: 86_400_000 }, 1800],
    ['as its entry says', { entry: { ...entry, jwtSvidTtlMs: 120_000 } }, 120],
    ['shorter than its entry', { entry: { ...entry, jwtSvidTtlMs: 120_000 }, ttlMs: 60_000 }, 60],
    [
      'never longer than its entry',
      { entry: { ...entry, jwtSvidTtlMs: 120_000 }, ttlMs: 180_000 },
      120,
    ],
    ['no longer than the CA allows', { entry: { ...entry, jwtSvidTtlMs: 7_200_000 } }, 1800],
    ['a life beyond all numbers', { ttlMs: Number(2n ** 64n - 1n) }, 1800],
  ])('lives %s', async ([, changes, seconds]) => {
    const { expiresAtMs } = await minted(changes);
    expect(expiresAtMs).toBe(Math.floor(startMs / 1000) * 1000 + seconds * 1000);
  });

  test('never outlives its key', async () => {
    deps = { ...deps, keys: keysOf('ec-p256', startMs + 10_500).keys };
    expect((await minted()).expiresAtMs).toBeLessThanOrEqual(startMs + 10_500);
  });

  test('never outlives its entry', async () => {
    const ending = { ...entry, expiresAtMs: startMs + 20_000 };
    expect((await minted({ entry: ending })).expiresAtMs).toBeLessThanOrEqual(startMs + 20_000);
  });

  test.for<KeyKind>(['ec-p256', 'ec-p384', 'rsa-2048'])('is signed with %s too', async (kind) => {
    const other = keysOf(kind, startMs + 3_600_000);
    deps = { ...deps, keys: other.keys };
    const { token } = await minted();
    const verdict = verifyJwtSvid({
      token,
      audience: 'orders',
      bundles: bundles(other.authority),
      atMs: startMs,
    });
    expect(verdict.kind).toBe('valid');
  });
});

describe('what is refused, each on the record', () => {
  const long = 'a'.repeat(3000);
  test.for<[string, Partial<MintRequest>, string]>([
    ['no audience', { audience: [] }, 'audience_invalid'],
    ['an empty audience', { audience: [''] }, 'audience_invalid'],
    ['an audience twice', { audience: ['a', 'a'] }, 'audience_invalid'],
    ['a space in an audience', { audience: ['a b'] }, 'audience_invalid'],
    ['a long audience', { audience: [long] }, 'audience_invalid'],
    ['nine audiences', { audience: 'a b c d e f g h i'.split(' ') }, 'audience_invalid'],
  ])('%s', async ([, changes, code]) => {
    expect(await mintJwtSvid(deps, { ...request, ...changes })).toMatchObject({
      kind: 'refused',
      code,
    });
    expect(audit.events).toMatchObject([{ type: 'jwt.denied', refusal: { code } }]);
    expect(JSON.stringify(audit.events).length).toBeLessThan(1000);
  });

  test('a blocked identity', async () => {
    deps = { ...deps, whyBlocked: (id) => (id === entry.spiffeId ? 'stolen' : undefined) };
    expect(await mintJwtSvid(deps, request)).toMatchObject({
      code: 'id_blocked',
      detail: 'stolen',
    });
  });

  test('a key that has ended', async () => {
    const ended = (): never => {
      throw new AuthorityError('authority_ended', 'over');
    };
    deps = { ...deps, keys: { current: ended } };
    expect(await mintJwtSvid(deps, request)).toMatchObject({
      reason: 'unavailable',
      code: 'jwt_key_ended',
    });
  });
});

test('the policy judges the life that the token will have, and its rule and reason are on the record', async () => {
  deps = {
    ...deps,
    policy: ({ kind, ttlMs, audience = [] }) =>
      kind === 'jwt' && ttlMs > 600_000
        ? { kind: 'deny', rule: 'short', reason: 'ten minutes at most' }
        : { kind: 'allow', rule: `for-${audience.join('+')}`, reason: 'known callers' },
  };
  await minted({ audience: ['a', 'b'] });
  const refused = await mintJwtSvid(deps, { ...request, ttlMs: 900_000 });
  expect(refused).toMatchObject({ code: 'policy_denied', detail: 'ten minutes at most' });
  expect(audit.events).toMatchObject([
    {
      type: 'jwt.issued',
      actor: { id: nodeId },
      token: { spiffeId: entry.spiffeId, audience: ['a', 'b'], keyId: 'key-1', entryId: entry.id },
      policy: { rule: 'for-a+b', reason: 'known callers' },
    },
    {
      type: 'jwt.denied',
      refusal: { code: 'policy_denied' },
      policy: { rule: 'short', reason: 'ten minutes at most' },
    },
  ]);
});

test('a token that cannot be recorded does not leave, and no token is on the record', async () => {
  const { token } = await minted();
  expect(JSON.stringify(audit.events)).not.toContain(token.split('.')[2]);
  audit.failing = true;
  await expect(mintJwtSvid(deps, request)).rejects.toMatchObject({ code: 'audit_write_failed' });
});

test('r and s have their full length whatever their leading zeros', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = jwsSigner(keySigner(privateKey));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 8 }), async (bytes) => {
      expect(await signer.sign(bytes)).toHaveLength(64);
    }),
    { numRuns: 400 },
  );
});
