/**
 * A mesh in one process and no time of its own: a CA's rotations against simulated nodes, their sidecars and
 * whoever verifies tokens. One seed tells one story, restarts of the CA included.
 */

import {
  type Authority,
  type AuthoritySet,
  emptyAuthoritySet,
} from '../../ca/authority/authority.ts';
import { hasArrived, withArrivals } from '../../ca/authority/evidence.ts';
import {
  activeJwtKey,
  dueJwtKeyStep,
  emptyJwtKeySet,
  type JwtKeySet,
} from '../../ca/authority/jwt-key.ts';
import { dueJwtKeyStepOf } from '../../ca/authority/jwt-key-step.ts';
import { mintRoot } from '../../ca/authority/mint-authority.ts';
import { isOverdue } from '../../ca/authority/overdue.ts';
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
} from '../../ca/authority/rotation.ts';
import { activeIssuing, activeRoot, trustedRoots } from '../../ca/authority/slot.ts';
import { ConnectedNodes, type NodeConnection } from '../../ca/node-api/connected-nodes.ts';
import type { Clock } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import {
  randomOf,
  refusalsAmong,
  refusing,
  type SimulatedAgent,
  simulatedAgents,
  tokenRefusals,
} from './simulated-agent.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const second = 1000;
const tickMs = 5 * second;
const leafMs = 60 * second;
const issuingMs = 200 * second;
const rootMs = 1200 * second;
// Half of it is longer than the slowest node needs after it was away: an ended key waits for nobody.
const patientJwtKeyMs = 1200 * second;
const tokenMs = 20 * second;
const jwtQuietMs = 250 * second;
// Twenty seconds: far less than an eighth of a key's life.
const pollTicks = 4;
/** When the story ends. */
export const endMs = startMs + 1300 * second;

const { authority: template } = await mintRoot({
  trustDomain: parseTrustDomain('mesh.test'),
  serial: Uint8Array.of(1),
  nowMs: startMs,
  lifetimes: { rootMs, issuingMs, x509SvidMs: leafMs, nodeSvidMs: leafMs, backdateMs: 0 },
});

export class RotationMesh {
  nowMs = startMs;
  set: AuthoritySet = emptyAuthoritySet;
  jwtKeys: JwtKeySet = emptyJwtKeySet;
  /** So far: JWT keys that have begun to sign, and nodes that the operator had to shut out. */
  jwtKeysBegun = 0;
  shutOuts = 0;
  readonly #agents: readonly SimulatedAgent[];
  #nodes: ConnectedNodes;
  readonly #clock: Clock;
  readonly #jwtKeyMs: number;
  /** Ticks at which the CA is killed and starts again, knowing only what is stored. */
  readonly #restarts: ReadonlySet<number>;
  #ticks = 0;
  readonly #context: DueContext;
  #made = 0;
  /** Tokens by the key that signed them: when the last one ends. */
  readonly #tokens = new Map<string, number>();
  /** What somebody has who only looks at the bundle now and then. */
  #polled: ReadonlySet<string> = new Set();

  /** `hears`: whose word the CA takes as evidence; of `nodes` alone it does not ask for their sidecars'. */
  constructor(
    seed: number,
    {
      threshold = 1,
      hears = 'all',
      jwtKeyMs = patientJwtKeyMs,
    }: { threshold?: number; hears?: 'all' | 'nodes'; jwtKeyMs?: number } = {},
  ) {
    const random = randomOf(seed);
    const clock: Clock = {
      wallMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      after: () => ({ cancel() {} }),
    };
    this.#clock = clock;
    this.#jwtKeyMs = jwtKeyMs;
    this.#nodes = new ConnectedNodes(clock);
    this.#restarts = new Set(
      Array.from({ length: 4 }, () => Math.floor((random() * (endMs - startMs)) / tickMs)),
    );
    this.#context = {
      issuingMs,
      policy: { threshold, deadlineMs: leafMs, automatic: true },
      propagationOf: (id) =>
        hears === 'all' ? this.#nodes.propagationOf(id) : this.#nodes.nodesOf(id),
      canSign: () => true,
    };
    this.#agents = simulatedAgents(random, { startMs, tickMs });
  }

  tick(): void {
    this.nowMs += tickMs;
    this.#ticks += 1;
    if (this.#restarts.has(this.#ticks)) this.#restart();
    this.#operate();
    for (
      let due = dueStep(this.set, this.nowMs, this.#context);
      due !== undefined;
      due = dueStep(this.set, this.nowMs, this.#context)
    ) {
      this.set = this.#take(due);
    }
    this.#rotateJwtKeys();
    this.#mint();
    for (const agent of this.#agents) this.#live(agent);
  }

  /** Who would refuse whom, of the live and honest. */
  stranded(): string[] {
    const at = `at ${(this.nowMs - startMs) / second} s`;
    return [
      ...refusalsAmong(this.#agents, this.nowMs),
      ...tokenRefusals(this.#agents, this.#tokens, this.#polled, this.nowMs),
    ].map((refusal) => `${refusal} ${at}`);
  }

  /** What must hold at any time, whoever lies: said of what does not. */
  broken(): string[] {
    const at = `at ${(this.nowMs - startMs) / second} s`;
    const retired = new Set(
      this.set.authorities.flatMap(({ id, state }) => (state === 'retired' ? [id] : [])),
    );
    const orphans = this.#agents.filter(
      ({ leaf, kind, isShutOut }) =>
        kind === 'honest' &&
        !isShutOut &&
        leaf !== undefined &&
        leaf.endMs >= this.nowMs &&
        retired.has(leaf.rootId),
    );
    const active = this.set.authorities.filter(
      ({ tier, state }) => tier === 'root' && state === 'active',
    );
    const counts = trustedRoots(this.set).map(({ id }) => this.#nodes.propagationOf(id));
    const impossible = counts.filter(
      ({ nodes, nodesApplied, subscribers, acknowledged }) =>
        nodesApplied > nodes || acknowledged > subscribers,
    );
    return [
      ...orphans.map(({ id }) => `${id} lives under a retired root ${at}`),
      ...(active.length === 1 ? [] : [`${active.length} roots are active ${at}`]),
      ...impossible.map((each) => `${JSON.stringify(each)} counts more than there is ${at}`),
    ];
  }

  /** Streams end with the process; whoever is registered with a good certificate is waited for. */
  #restart(): void {
    this.#nodes = new ConnectedNodes(this.#clock);
    for (const agent of this.#agents) {
      agent.connection = undefined;
      agent.pending = [];
      const leafEndMs = agent.leaf?.endMs ?? 0;
      const counts = !agent.isShutOut && leafEndMs > this.nowMs;
      if (counts) this.#nodes.expect(agent.id, leafEndMs);
    }
  }

  /** The operator's part: once publication is overdue, nodes that refuse it are evicted. */
  #operate(): void {
    const waiting = [
      this.set.authorities.find(({ tier, state }) => tier === 'root' && state === 'prepared'),
      this.jwtKeys.keys.find(({ state }) => state === 'prepared'),
    ];
    const { policy } = this.#context;
    if (!waiting.some((key) => isOverdue(key, this.nowMs, policy))) return;
    for (const agent of this.#agents.filter(({ kind }) => refusing.has(kind))) {
      if (!agent.isShutOut) this.shutOuts += 1;
      agent.isShutOut = true;
      this.#nodes.evict(agent.id);
    }
  }

  #live(agent: SimulatedAgent): void {
    if (agent.isShutOut) {
      // It goes on talking on the stream it had.
      if (agent.connection !== undefined) this.#report(agent, agent.connection, 0n, new Set());
      return;
    }
    this.#updateSidecars(agent);
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
      if ((agent.leaf?.endMs ?? 0) < this.nowMs) agent.isNew = true;
    }
    this.#sync(agent, agent.connection);
    this.#renew(agent);
  }

  #sync(agent: SimulatedAgent, connection: NodeConnection): void {
    const sequence = this.#sequence();
    if (agent.sentSequence !== sequence) {
      agent.sentSequence = sequence;
      const ids = this.#bundle();
      connection.sent(sequence, ids);
      agent.pending.push({ atMs: this.nowMs + agent.delayMs, revision: sequence, ids });
    }
    for (const { revision, ids } of agent.pending.filter(({ atMs }) => atMs <= this.nowMs)) {
      agent.appliedRevision = revision;
      if (agent.kind === 'honest') this.#apply(agent, ids);
      this.#report(agent, connection, revision, ids);
    }
    agent.pending = agent.pending.filter(({ atMs }) => atMs > this.nowMs);
  }

  /** At half life, at once under a new root, and never before it has the bundle that it is judged by. */
  #renew(agent: SimulatedAgent): void {
    const root = activeRoot(this.set);
    const issuing = activeIssuing(this.set);
    if (root === undefined || issuing === undefined) return;
    // Who lies has no scruples: it renews, and so stays, under a root that it never took up.
    if (agent.kind === 'honest' && !agent.applied.has(root.id)) return;
    const { leaf } = agent;
    if (leaf?.rootId === root.id && leaf.endMs - this.nowMs > leafMs / 2) return;
    const notAfterMs = Math.min(this.nowMs + leafMs, issuing.certificate.notAfterMs);
    agent.leaf = { rootId: root.id, endMs: notAfterMs };
    this.#apply(agent, agent.applied);
    const markMs = Math.max(issuing.lastLeafNotAfterMs ?? 0, notAfterMs);
    this.set = withLeafMark(this.set, issuing.id, markMs);
    agent.connection?.close();
    const connection = this.#nodes.open(agent.id, notAfterMs);
    agent.connection = connection;
    // The new stream begins with the state of now; what was taken up before is acknowledged at once.
    const sequence = this.#sequence();
    connection.sent(sequence, this.#bundle());
    if (agent.pending.length > 0) return;
    agent.appliedRevision = sequence;
    this.#report(agent, connection, sequence, agent.applied);
  }

  /** The agent has it, and pushes it on: its sidecars take it up when they come to it. */
  #apply(agent: SimulatedAgent, ids: ReadonlySet<string>): void {
    agent.applied = ids;
    if (agent.pending.every(({ atMs }) => atMs <= this.nowMs)) agent.isNew = false;
    const { leaf, sidecarDelayMs } = agent;
    agent.updates.push({ atMs: this.nowMs + sidecarDelayMs, ids, leaf });
  }

  #updateSidecars(agent: SimulatedAgent): void {
    const due = agent.updates.filter(({ atMs }) => atMs <= this.nowMs);
    const newest = due.at(-1);
    if (newest === undefined) return;
    agent.updates = agent.updates.filter(({ atMs }) => atMs > this.nowMs);
    agent.trusted = newest.ids;
    agent.presented = newest.leaf;
    if (agent.connection === undefined) return;
    this.#report(agent, agent.connection, agent.appliedRevision, agent.applied);
  }

  #sequence(): bigint {
    return this.set.bundleSequence + this.jwtKeys.sequence;
  }

  #bundle(): ReadonlySet<string> {
    return new Set([...trustedRoots(this.set), ...this.jwtKeys.keys].map(({ id }) => id));
  }

  #rotateJwtKeys(): void {
    const { threshold, automatic } = this.#context.policy;
    const propagationOf = (kid: string) => this.#nodes.nodesOf(kid);
    const arrived = (kid: string): boolean => hasArrived(propagationOf(kid), threshold);
    const due = () => dueJwtKeyStep(this.jwtKeys, this.nowMs, arrived, automatic);
    for (let step = due(); step !== undefined; step = due()) {
      if (step.kind === 'begin' || step.kind === 'activate') this.jwtKeysBegun += 1;
      const state = {
        nowMs: this.nowMs,
        lifeMs: this.#jwtKeyMs,
        tokenMs,
        threshold,
        propagationOf,
      };
      this.jwtKeys = dueJwtKeyStepOf(step)({ ...state, set: this.jwtKeys }).next;
    }
  }

  /** A token at each tick, for whoever asks; and at every few, somebody who polls looks at the bundle. */
  #mint(): void {
    if (this.#ticks % pollTicks === 0) this.#polled = this.#bundle();
    const active = activeJwtKey(this.jwtKeys);
    // The first key signs at once, before anybody can have it: until they do they know that they do not.
    if (active === undefined || this.nowMs < startMs + jwtQuietMs) return;
    this.#tokens.set(active.id, Math.min(this.nowMs + tokenMs, active.notAfterMs));
  }

  #report(
    { kind, isShutOut, trusted }: SimulatedAgent,
    connection: NodeConnection,
    revision: bigint,
    ids: ReadonlySet<string>,
  ): void {
    const isSilent = kind === 'denier' && !isShutOut;
    const isMany = kind === 'crowd' || kind === 'staller';
    const subscribers = isMany ? 2 ** 32 - 1 : 2;
    const said = (id: string): number => {
      if (isSilent || kind === 'staller') return 0;
      if (kind === 'boaster') return 1_000_000;
      return kind === 'honest' && !trusted.has(id) ? 0 : subscribers;
    };
    // A number that was not sent on this stream says nothing, so a forger is one who has nothing.
    const applied = isSilent ? 0n : kind === 'forger' ? revision + 1_000n : revision;
    connection.reported(
      applied,
      [...ids].map((authorityKeyId) => ({
        authorityKeyId,
        subscribers,
        acknowledged: said(authorityKeyId),
      })),
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
        const propagation = this.#context.propagationOf(due.id);
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
