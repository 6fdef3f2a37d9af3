import { expect, test } from 'vitest';
import type { Clock } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { ConnectedNodes, type NodeConnection } from '../node-api/connected-nodes.ts';
import { type Authority, type AuthoritySet, emptyAuthoritySet } from './authority.ts';
import { withArrivals } from './evidence.ts';
import { mintRoot } from './mint-authority.ts';
import {
  type DueContext,
  type DueStep,
  dueStep,
  withActivatedRoot,
  withAuthority,
  withLeafMark,
  withPreparedRoot,
  withPublishedRoot,
  withRenewedIssuing,
  withRetired,
} from './rotation.ts';
import { activeIssuing, activeRoot, trustedRoots } from './slot.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const second = 1000;
const tickMs = 5 * second;
const leafMs = 60 * second;
const issuingMs = 200 * second;
const rootMs = 1200 * second;
const endMs = startMs + 1300 * second;

const { authority: template } = await mintRoot({
  trustDomain: parseTrustDomain('mesh.test'),
  serial: Uint8Array.of(1),
  nowMs: startMs,
  lifetimes: { rootMs, issuingMs, x509SvidMs: leafMs, nodeSvidMs: leafMs, backdateMs: 0 },
});

// A bound on the time and on the machine; a failure names its seed, which tells the whole story again.
const seeds = Array.from({ length: 25 }, (_, index) => index + 1);

test.for(seeds)('seed %i: nobody honest is stranded, and the rotation ends', (seed) => {
  const mesh = new Mesh(seed);
  while (mesh.nowMs < endMs) {
    mesh.tick();
    const stranded = mesh.stranded();
    if (stranded.length > 0) expect(stranded).toEqual([]);
  }
  const roots = mesh.set.authorities.filter(({ tier }) => tier === 'root');
  expect(roots[0]?.state).toBe('retired');
  expect(roots.filter(({ state }) => state === 'active')).toHaveLength(1);
});

test('without the evidence somebody would be: the simulation can fail', () => {
  const found = seeds.some((seed) => {
    const mesh = new Mesh(seed, 0.01);
    let stranded = false;
    while (mesh.nowMs < endMs && !stranded) {
      mesh.tick();
      stranded = mesh.stranded().length > 0;
    }
    return stranded;
  });
  expect(found).toBe(true);
});

interface Agent {
  readonly id: ReturnType<typeof parseSpiffeId>;
  /** A liar says that it and its sidecars have everything, and takes up nothing. */
  readonly kind: 'honest' | 'liar';
  readonly delayMs: number;
  readonly awayFromMs: number;
  readonly awayUntilMs: number;
  connection: NodeConnection | undefined;
  applied: ReadonlySet<string>;
  pending: {
    readonly atMs: number;
    readonly revision: bigint;
    readonly ids: ReadonlySet<string>;
  }[];
  sentSequence: bigint;
  leaf: { readonly rootId: string; readonly endMs: number } | undefined;
}

class Mesh {
  nowMs = startMs;
  set: AuthoritySet = emptyAuthoritySet;
  readonly #agents: readonly Agent[];
  readonly #nodes: ConnectedNodes;
  readonly #context: DueContext;
  #made = 0;

  constructor(seed: number, threshold = 1) {
    const random = randomOf(seed);
    const clock: Clock = {
      wallMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      after: () => ({ cancel() {} }),
    };
    this.#nodes = new ConnectedNodes(clock);
    this.#context = {
      issuingMs,
      policy: { threshold, deadlineMs: leafMs, automatic: true },
      propagationOf: (id) => this.#nodes.propagationOf(id),
      canSign: () => true,
    };
    this.#agents = Array.from({ length: 3 + Math.floor(random() * 9) }, (_, index) => {
      const awayFromMs = startMs + 500 * second + random() * 200 * second;
      return {
        id: parseSpiffeId(`spiffe://mesh.test/signet/node/join-token/n${index}`),
        kind: index > 0 && random() < 0.2 ? 'liar' : 'honest',
        // From at once to many pushes later.
        delayMs: random() < 0.3 ? random() * 200 * second : random() * tickMs,
        awayFromMs: random() < 0.5 ? awayFromMs : Number.POSITIVE_INFINITY,
        awayUntilMs:
          awayFromMs + (random() < 0.3 ? Number.POSITIVE_INFINITY : random() * 200 * second),
        connection: undefined,
        applied: new Set<string>(),
        pending: [],
        sentSequence: -1n,
        leaf: undefined,
      };
    });
  }

  tick(): void {
    this.nowMs += tickMs;
    for (
      let due = dueStep(this.set, this.nowMs, this.#context);
      due !== undefined;
      due = dueStep(this.set, this.nowMs, this.#context)
    ) {
      this.set = this.#take(due);
    }
    for (const agent of this.#agents) this.#live(agent);
  }

  /** Pairs of live honest agents of which one would refuse the other. */
  stranded(): string[] {
    const live = this.#agents.filter(
      ({ kind, leaf }) => kind === 'honest' && leaf !== undefined && leaf.endMs >= this.nowMs,
    );
    return live.flatMap((a) =>
      live
        .filter((b) => !a.applied.has(b.leaf?.rootId ?? ''))
        .map((b) => `${a.id} refuses ${b.id} at ${(this.nowMs - startMs) / second} s`),
    );
  }

  #live(agent: Agent): void {
    const isAway = this.nowMs >= agent.awayFromMs && this.nowMs < agent.awayUntilMs;
    if (isAway) {
      agent.connection?.close();
      agent.connection = undefined;
      agent.pending = [];
      return;
    }
    if (agent.connection === undefined) {
      agent.connection = this.#nodes.open(agent.id, agent.leaf?.endMs ?? this.nowMs + leafMs);
      agent.sentSequence = -1n;
    }
    this.#sync(agent, agent.connection);
    this.#renew(agent);
  }

  #sync(agent: Agent, connection: NodeConnection): void {
    const { bundleSequence } = this.set;
    if (agent.sentSequence !== bundleSequence) {
      agent.sentSequence = bundleSequence;
      const ids = new Set(trustedRoots(this.set).map(({ id }) => id));
      connection.sent(bundleSequence, ids);
      agent.pending.push({ atMs: this.nowMs + agent.delayMs, revision: bundleSequence, ids });
    }
    for (const { revision, ids } of agent.pending.filter(({ atMs }) => atMs <= this.nowMs)) {
      if (agent.kind === 'honest') agent.applied = ids;
      this.#report(agent, connection, revision, ids);
    }
    agent.pending = agent.pending.filter(({ atMs }) => atMs > this.nowMs);
  }

  /** At half life, at once under a new root, and never before it has the bundle that it is judged by. */
  #renew(agent: Agent): void {
    const root = activeRoot(this.set);
    const issuing = activeIssuing(this.set);
    if (root === undefined || issuing === undefined || !agent.applied.has(root.id)) return;
    const { leaf } = agent;
    if (leaf?.rootId === root.id && leaf.endMs - this.nowMs > leafMs / 2) return;
    const notAfterMs = Math.min(this.nowMs + leafMs, issuing.certificate.notAfterMs);
    agent.leaf = { rootId: root.id, endMs: notAfterMs };
    const markMs = Math.max(issuing.lastLeafNotAfterMs ?? 0, notAfterMs);
    this.set = withLeafMark(this.set, issuing.id, markMs);
    agent.connection?.close();
    const connection = this.#nodes.open(agent.id, notAfterMs);
    agent.connection = connection;
    // The new stream begins with the state of now; what was taken up before is acknowledged at once.
    const { bundleSequence } = this.set;
    connection.sent(bundleSequence, new Set(trustedRoots(this.set).map(({ id }) => id)));
    const isPending = agent.pending.length > 0;
    if (!isPending) this.#report(agent, connection, bundleSequence, agent.applied);
  }

  #report(
    { kind }: Agent,
    connection: NodeConnection,
    revision: bigint,
    ids: ReadonlySet<string>,
  ): void {
    const acknowledged = kind === 'liar' ? 1_000_000 : 2;
    connection.reported(
      revision,
      [...ids].map((authorityKeyId) => ({ authorityKeyId, subscribers: 2, acknowledged })),
      '',
    );
  }

  #take(due: DueStep): AuthoritySet {
    const { set, nowMs } = this;
    switch (due.kind) {
      case 'begin_root': {
        const root = this.#root();
        return withActivatedRoot(withPreparedRoot(set, root), root.id, this.#issuing(root), nowMs);
      }
      case 'prepare_root':
      case 'adopt_root':
        return withPreparedRoot(set, this.#root());
      case 'note_arrivals': {
        const propagation = this.#nodes.propagationOf(due.id);
        const before = set.authorities.find(({ id }) => id === due.id)?.arrivals ?? [];
        return withAuthority(set, due.id, {
          arrivals: withArrivals(before, propagation, nowMs) ?? before,
        });
      }
      case 'publish_root':
        return withPublishedRoot(set, due.id, nowMs);
      case 'activate_root': {
        const root = set.authorities.find(({ id }) => id === due.id) ?? this.#root();
        return withActivatedRoot(set, due.id, this.#issuing(root), nowMs);
      }
      case 'renew_issuing':
        return withRenewedIssuing(set, this.#issuing(activeRoot(set) ?? this.#root()));
      case 'retire':
        return withRetired(set, due.id, nowMs);
      default:
        throw new Error(`no such step: ${JSON.stringify(due)}`);
    }
  }

  #root(): Authority {
    this.#made += 1;
    const certificate = { ...template.certificate, notAfterMs: this.nowMs + rootMs };
    const id = `root${this.#made}`;
    return { ...template, id, certificate, preparedAtMs: this.nowMs, isAutomatic: true };
  }

  #issuing(root: Authority): Authority {
    this.#made += 1;
    const notAfterMs = Math.min(this.nowMs + issuingMs, root.certificate.notAfterMs);
    return {
      id: `issuing${this.#made}`,
      tier: 'issuing',
      state: 'active',
      parentId: root.id,
      certificate: { ...template.certificate, notAfterMs },
      preparedAtMs: this.nowMs,
      activatedAtMs: this.nowMs,
    };
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
