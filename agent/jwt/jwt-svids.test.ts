import { expect, test } from 'vitest';
import type { MintJwtSvidsRequest, MintJwtSvidsResponse } from '../../api/index.ts';
import { CodedError, seededRandom, silentLogger, WatchSource } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { FakeJwtKey } from '../../test/fakes/fake-jwt-key.ts';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';
import { createJwtSvids, type JwtSvidOutcome } from './jwt-svids.ts';

class Away extends CodedError<'away'> {
  override readonly name = 'Away';
  override readonly kind = 'unavailable';
}

type Mode = 'mint' | 'away' | 'hang' | 'deny' | 'busy' | 'other_id' | 'other_audience';

const startMs = Date.UTC(2026, 0, 1);
const trustDomain = parseTrustDomain('mesh.test');
const keyOne = new FakeJwtKey('one');
const keyTwo = new FakeJwtKey('two');

/** A CA that is one function; `mode` says how it behaves now. */
function setUp() {
  const clock = new ManualClock(startMs);
  const control = { mode: 'mint' as Mode, key: keyOne, ttlMs: 60_000 };
  const calls: MintJwtSvidsRequest[] = [];
  let serial = 0;
  const waiting: (() => void)[] = [];
  const outcome = (entryId: string, audience: readonly string[]) => {
    if (control.mode === 'deny' || control.mode === 'busy') {
      const kind = control.mode === 'deny' ? 'permission_denied' : 'resource_exhausted';
      return { $case: 'refusal' as const, value: { kind, code: 'no', detail: 'no' } };
    }
    serial += 1;
    const token = control.key.sign({
      sub: `spiffe://mesh.test/${control.mode === 'other_id' ? 'other' : entryId}`,
      aud: control.mode === 'other_audience' ? [...audience, 'more'] : audience,
      exp: (clock.wallMs() + control.ttlMs) / 1000,
      jti: String(serial),
    });
    return { $case: 'minted' as const, value: { token, expiresAtMs: 0n } };
  };
  const mintJwtSvids = async (request: MintJwtSvidsRequest): Promise<MintJwtSvidsResponse> => {
    calls.push(request);
    if (control.mode === 'away') throw new Away('away', 'nobody there');
    if (control.mode === 'hang') await new Promise<void>((resolve) => waiting.push(resolve));
    return {
      items: request.items.map(({ entryId, audience }) => ({
        outcome: outcome(entryId, audience),
      })),
    };
  };
  const state = new WatchSource<CaState | undefined>(undefined);
  const push = (change: Partial<CaState> = {}): void => {
    state.set({
      revision: 1n,
      trustDomain,
      entries: ['web', 'api'].map((id) => entryOf(id)),
      bundles: bundleOf(keyOne, keyTwo),
      bundleText: new Uint8Array(),
      activeRootKeyId: '',
      crls: [],
      revokedSerials: new Set(),
      ...change,
    });
  };
  push();
  const api: Pick<NodeApi, 'mintJwtSvids'> = { mintJwtSvids };
  const tokens = createJwtSvids({
    api: () => api,
    state,
    clock,
    random: seededRandom(1),
    log: silentLogger,
    limits: { heldMax: 10, underWayMax: 10 },
  });
  return {
    clock,
    control,
    calls,
    tokens,
    push,
    release: () => waiting.splice(0).map((go) => go()),
  };
}

function bundleOf(...jwtAuthorities: readonly FakeJwtKey[]): CaState['bundles'] {
  return new Map([
    [trustDomain, { trustDomain, sequence: 1n, x509Authorities: [], jwtAuthorities }],
  ]);
}

function entryOf(id: string, revision = 1n): AgentEntry {
  return {
    id,
    spiffeId: parseSpiffeId(`spiffe://mesh.test/${id}`),
    selectors: ['unix:uid:1'],
    hint: '',
    priority: 0,
    createdAtMs: 0,
    revision,
  };
}

const web = entryOf('web');
const tokenOf = (outcome: JwtSvidOutcome | undefined): string =>
  outcome?.kind === 'issued' ? outcome.token : `refused: ${outcome?.error.kind ?? 'missing'}`;

test('a token is kept by entry and set of audiences, whatever their order', async () => {
  const { tokens, calls } = setUp();
  const [first] = await tokens.fetch([web], ['orders', 'billing']);
  const [again] = await tokens.fetch([web], ['billing', 'orders', 'billing']);
  expect(tokenOf(again)).toBe(tokenOf(first));
  expect(calls.length).toBe(1);
  const [other] = await tokens.fetch([web], ['orders']);
  const [updated] = await tokens.fetch([entryOf('web', 2n)], ['orders']);
  expect(new Set([first, other, updated].map(tokenOf)).size).toBe(3);
  expect(calls.length).toBe(3);
});

test('callers at one time share one question, and entries one call', async () => {
  const { tokens, calls } = setUp();
  const both = [web, entryOf('api')];
  const answers = await Promise.all([1, 2, 3].map(() => tokens.fetch(both, ['orders'])));
  expect(calls.map(({ items }) => items.length)).toEqual([2]);
  expect(new Set(answers.flat().map(tokenOf)).size).toBe(2);
});

test('from half of its life on a token is replaced when it is asked for', async () => {
  const { tokens, clock, calls } = setUp();
  const [first] = await tokens.fetch([web], ['orders']);
  await clock.advance(26_000);
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe(tokenOf(first));
  await clock.advance(8_000);
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).not.toBe(tokenOf(first));
  expect(calls.length).toBe(2);
});

test('while the CA is away the old token is served, until it ends', async () => {
  const { tokens, clock, control, calls } = setUp();
  const [first] = await tokens.fetch([web], ['orders']);
  control.mode = 'away';
  await clock.advance(40_000);
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe(tokenOf(first));
  // The next one does not ask at once again.
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe(tokenOf(first));
  expect(calls.length).toBe(2);
  await clock.advance(20_000);
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe('refused: unavailable');
  control.mode = 'mint';
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toMatch(/^ey/);
});

test('a CA that does not answer holds nobody up who has a good token', async () => {
  const { tokens, clock, control, release } = setUp();
  const [first] = await tokens.fetch([web], ['orders']);
  control.mode = 'hang';
  await clock.advance(40_000);
  const asked = tokens.fetch([web], ['orders']);
  await settle();
  await clock.advance(500);
  expect(tokenOf((await asked)[0])).toBe(tokenOf(first));
  release();
  await settle();
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).not.toBe(tokenOf(first));
});

test('a CA that says no takes the old token away too; one that is busy does not', async () => {
  const { tokens, clock, control } = setUp();
  const [first] = await tokens.fetch([web], ['orders']);
  await clock.advance(40_000);
  control.mode = 'busy';
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe(tokenOf(first));
  await clock.advance(6_000);
  control.mode = 'deny';
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe('refused: permission_denied');
  control.mode = 'away';
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe('refused: unavailable');
});

test.for<[string, Partial<CaState>]>([
  ['is tainted', { taintedKeyIds: new Set(['one']) }],
  ['has left the bundle', { bundles: bundleOf(keyTwo) }],
])('a token whose key %s is not served again', async ([, change]) => {
  const { tokens, control, push, calls } = setUp();
  const [first] = await tokens.fetch([web], ['orders']);
  push({ revision: 2n });
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe(tokenOf(first));
  push(change);
  // Nor is a new one under the same key.
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe('refused: unavailable');
  control.key = keyTwo;
  expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toMatch(/^ey/);
  expect(calls.length).toBe(3);
});

test.for<Mode>(['other_id', 'other_audience'])(
  'a token for %s than was asked is not handed out',
  async (mode) => {
    const { tokens, control } = setUp();
    control.mode = mode;
    expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toBe('refused: unavailable');
    control.mode = 'mint';
    expect(tokenOf((await tokens.fetch([web], ['orders']))[0])).toMatch(/^ey/);
  },
);

test('the least recently used of those held makes room', async () => {
  const { tokens, calls } = setUp();
  const ask = async (name: string) => tokenOf((await tokens.fetch([web], [name]))[0]);
  const first = await ask('a0');
  const second = await ask('a1');
  for (let n = 2; n < 10; n += 1) await ask(`a${n}`);
  expect(await ask('a0')).toBe(first);
  await ask('one more');
  expect(calls.length).toBe(11);
  expect(await ask('a0')).toBe(first);
  expect(await ask('a1')).not.toBe(second);
});

test('questions above the limit are shed, and those under way are answered', async () => {
  const { tokens, control, release } = setUp();
  control.mode = 'hang';
  const asked = Array.from({ length: 10 }, (_, n) => tokens.fetch([web], [`a${n}`]));
  expect(tokenOf((await tokens.fetch([web], ['more']))[0])).toBe('refused: unavailable');
  await settle();
  release();
  const answers = (await Promise.all(asked)).flat().map(tokenOf);
  expect(answers.filter((each) => each.startsWith('ey')).length).toBe(10);
});
