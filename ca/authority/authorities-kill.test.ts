import { expect, test } from 'vitest';
import {
  authorityLifetimes,
  authorityStartMs as startMs,
  authorityWorld,
  type AuthorityWorld,
  openWorld,
  operator,
  statesOf,
} from '../../test/fakes/authority-world.ts';
import { dyingWrites, Killed } from '../../test/fakes/dying-writes.ts';
import type { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import type { Authorities } from './authorities.ts';
import type { Authority } from './authority.ts';
import { mintRoot } from './mint-authority.ts';
import { type RotationPolicy, rotationPolicyOf } from './rotation-policy.ts';
import { activeIssuing, activeRoot, waitingRoot } from './slot.ts';
import type { Upstream } from './upstream.ts';

const second = 1000;
const fleet = { nodes: 1, nodesApplied: 1, subscribers: 1, acknowledged: 1 };
const policy = rotationPolicyOf({ automatic: false }, authorityLifetimes);
const rotationOf = (by: RotationPolicy) => ({
  policy: by,
  propagationOf: () => fleet,
  pushTimesOf: () => ({ firstMs: startMs, lastChangeMs: startMs }),
});
const theirs = await mintRoot({
  trustDomain: parseTrustDomain('mesh.test'),
  serial: Uint8Array.of(9),
  nowMs: startMs,
  lifetimes: authorityLifetimes,
});
const upstream: Upstream = {
  rootId: theirs.authority.id,
  chain: [theirs.authority.certificate],
  privateKey: theirs.privateKey,
};

/** Something that is done to the authorities, and gone on with after a kill by whoever wanted it done. */
interface Story {
  readonly name: string;
  /** What came before, in a life that nothing kills. */
  readonly before?: (authorities: Authorities, world: AuthorityWorld) => Promise<void>;
  /** Each deed looks at what stands, as an operator would, so that it may be told again from any point. */
  readonly tell: (authorities: Authorities, world: AuthorityWorld) => Promise<void>;
  /** Each kind that is left, once; of the roots alone where the issuing authorities depend on the time it took. */
  readonly ends: readonly string[];
  /** What the CA that is killed was given beside the usual. */
  readonly more?: { readonly policy?: RotationPolicy; readonly upstream?: Upstream };
}

const evidence = () => fleet;
const find = (authorities: Authorities, which: (each: Authority) => boolean) =>
  authorities.current().authorities.find(which);
const isRoot = ({ tier }: Authority): boolean => tier === 'root';

/** The oldest of a tier is tainted, and dropped, unless it is already. */
async function condemn(authorities: Authorities, tier: Authority['tier']): Promise<void> {
  const first = find(authorities, (each) => each.tier === tier);
  if (first === undefined) throw new Error('there is none');
  if (first.taintedAtMs === undefined) await authorities.taint(operator, first.id);
  if (first.state !== 'retired') await authorities.revoke(operator, first.id, true);
}

/** A root that waits is brought in, and what it replaced retired; one that was prepared before is gone on with. */
async function finish(authorities: Authorities, { clock }: AuthorityWorld): Promise<void> {
  // On the evidence it is published.
  await clock.advance(500);
  const waiting = waitingRoot(authorities.current());
  if (waiting !== undefined) await authorities.activate(operator, waiting.id, evidence, false);
  const old = find(authorities, (each) => isRoot(each) && each.state === 'draining');
  if (old !== undefined) await authorities.retire(operator, old.id, false);
}

const stories: readonly Story[] = [
  {
    name: 'a first start and a rotation',
    async tell(authorities, world) {
      const roots = authorities.current().authorities.filter(isRoot);
      if (roots.length === 1) await authorities.prepare(operator);
      await finish(authorities, world);
    },
    ends: ['root active', 'root retired'],
  },
  {
    name: 'abort',
    async tell(authorities) {
      const roots = authorities.current().authorities.filter(isRoot);
      if (roots.length === 1) await authorities.prepare(operator);
      const waiting = waitingRoot(authorities.current());
      if (waiting !== undefined) await authorities.abort(operator, waiting.id);
    },
    ends: ['root active', 'root retired'],
  },
  {
    name: 'taint and revoke of the issuing authority',
    before: async () => {},
    tell: (authorities) => condemn(authorities, 'issuing'),
    ends: ['issuing active', 'issuing retired', 'root active'],
  },
  {
    name: 'taint and revoke of the root, whose successor is published',
    async before(authorities, { clock }) {
      await authorities.prepare(operator);
      await clock.advance(500);
      expect(waitingRoot(authorities.current())?.state).toBe('published');
    },
    tell: (authorities) => condemn(authorities, 'root'),
    ends: ['issuing active', 'issuing retired', 'root active', 'root retired'],
  },
  {
    name: 'the renewal of the issuing authority, and the end of the one before',
    before: async () => {},
    // Its half life has come, and nothing below it lives.
    async tell(_authorities, { clock }) {
      const dueMs = startMs + 11 * second - clock.wallMs();
      if (dueMs > 0) clock.jump(dueMs);
      await clock.advance(6 * second);
    },
    ends: ['issuing active', 'issuing retired', 'root active'],
  },
  {
    name: 'another root of the operator’s, adopted, published, active',
    before: async () => {},
    more: { upstream },
    tell: finish,
    ends: ['issuing active', 'issuing retired', 'root active', 'root retired'],
  },
  {
    name: 'a rotation that the CA does by itself',
    before: async () => {},
    more: { policy: { ...policy, automatic: true } },
    async tell(_authorities, { clock }) {
      const dueMs = startMs + authorityLifetimes.rootMs / 2 + second - clock.wallMs();
      if (dueMs > 0) clock.jump(dueMs);
      await clock.advance(12 * second);
    },
    ends: ['root active', 'root retired'],
  },
];

test.for(stories)('$name: a kill at any write ends as if there had been none', async (story) => {
  const { writes } = await live(story, Number.POSITIVE_INFINITY, 'lost');
  expect(writes).toBeGreaterThan(1);
  for (let fatal = 0; fatal < writes; fatal += 1) {
    for (const effect of ['lost', 'written'] as const) await live(story, fatal, effect);
  }
});

/** One life that ends at a write, and another that goes on. Resolves to how many writes the first one asked for. */
async function live(
  { before, tell, ends, more = {} }: Story,
  fatal: number,
  effect: 'lost' | 'written',
): Promise<{ readonly writes: number }> {
  const world = authorityWorld();
  const at = `${effect} at write ${fatal}`;
  const rotation = rotationOf(more.policy ?? policy);
  const given = { rotation, ...(more.upstream === undefined ? {} : { upstream: more.upstream }) };
  if (before !== undefined) {
    const first = await openWorld(world, 'mesh.test', { rotation: rotationOf(policy) });
    await before(first, world);
    await first.close();
  }
  const dying = dyingWrites(world, fatal, effect);
  let doomed: Authorities | undefined;
  try {
    doomed = await openWorld({ ...world, ...dying }, 'mesh.test', given);
    await tell(doomed, world);
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  await doomed?.close();

  const restarted = await openWorld(world, 'mesh.test', given);
  expectWhole(restarted, world, at);
  await tell(restarted, world);
  expectWhole(restarted, world, at);
  const isAsked = (state: string): boolean =>
    ends.some((end) => end.split(' ')[0] === state.split(' ')[0]);
  const kinds = [...new Set(statesOf(restarted).filter(isAsked))].toSorted();
  expect(kinds, at).toEqual([...ends].toSorted());
  await restarted.close();
  return { writes: dying.writes() };
}

/** What must hold at any time: one root and one issuing authority sign, and whatever is there was recorded. */
function expectWhole(
  authorities: Authorities,
  { audit }: { readonly audit: RecordingAuditLog },
  at: string,
): void {
  const set = authorities.current();
  const active = set.authorities.filter(({ state }) => state === 'active');
  expect(active.map(({ tier }) => tier).toSorted(), at).toEqual(['issuing', 'root']);
  expect(authorities.issuer().rootId, at).toBe(activeRoot(set)?.id);
  expect(activeIssuing(set)?.parentId, at).toBe(activeRoot(set)?.id);
  const did = (type: string, id: string): boolean =>
    audit.events.some(
      (event) =>
        event.type === type &&
        (('authority' in event && event.authority.keyId === id) ||
          ('keyId' in event && event.keyId === id)),
    );
  for (const { id, tier, state, taintedAtMs } of set.authorities) {
    expect(did(tier === 'root' ? 'authority.prepared' : 'authority.issuing_rotated', id), at).toBe(
      true,
    );
    if (taintedAtMs !== undefined) expect(did('authority.tainted', id), at).toBe(true);
    if (state !== 'retired' || tier !== 'root') continue;
    const ways = ['authority.retired', 'authority.aborted', 'authority.revoked'];
    expect(
      ways.some((way) => did(way, id)),
      at,
    ).toBe(true);
  }
}
