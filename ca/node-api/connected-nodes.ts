/** The nodes that hold a Sync stream now, what each has applied, and how their SDS clients stand to each root. */

import type { Clock } from '../../core/index.ts';
import type { SecretReport, TrustReport } from '../../api/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import { type ClockJudgement, unquestionedClock } from '../authority/clock-trust.ts';
import type { Propagation, PushTimes } from '../authority/evidence.ts';
import { PushTurns } from './push-turns.ts';
import {
  boundedHoldings,
  type FleetHoldings,
  fleetHoldings,
  type NodeHoldings,
  noHoldings,
} from './secret-holdings.ts';
import { boundedReports, type SecretStandings, secretStandings } from './secret-standings.ts';

export interface NodeConnection {
  readonly nodeId: SpiffeId;
  readonly appliedRevision: bigint;
  readonly agentVersion: string;
  /** A state was sent: its revision and the roots in its bundle. */
  sent(revision: bigint, rootIds: ReadonlySet<string>): void;
  /** The node says what it has applied, and the whole picture of its clients. */
  reported(appliedRevision: bigint, trust: readonly TrustReport[], agentVersion: string): void;
  /** What its SDS clients made of their secrets: for operators, and no evidence of anything. */
  secretsReported(reports: readonly SecretReport[], holdings?: NodeHoldings): void;
  /** The stream has ended; the node may come back with the certificate it has. */
  close(): void;
  /** It was shut out: nobody waits for it, and nothing that it says counts. */
  leave(): void;
}

export class ConnectedNodes {
  /** In which their streams are served that are woken at once. */
  readonly turns = new PushTurns();
  readonly #clock: Clock;
  readonly #clockJudgement: ClockJudgement;
  /** The newest stream of each node. */
  readonly #connections = new Map<SpiffeId, Connection>();
  /** Nodes that are away with a certificate that is still good: how they stood, and until when they count. */
  readonly #absent = new Map<SpiffeId, AbsentNode>();

  /** When each key id was first part of a bundle that was sent. */
  readonly #firstSentMs = new Map<string, number>();
  /** When what is known of the nodes last changed. */
  #changedMs = 0;
  /** States sent to all nodes since the start. */
  #pushes = 0;

  constructor(clock: Clock, clockJudgement: ClockJudgement = unquestionedClock) {
    this.#clock = clock;
    this.#clockJudgement = clockJudgement;
  }

  /** Opens a node's stream; a stream it had before no longer counts. */
  open(nodeId: SpiffeId, notAfterMs = Number.POSITIVE_INFINITY): NodeConnection {
    const connection = new Connection(nodeId, notAfterMs, {
      sent: (rootIds) => {
        this.#pushes += 1;
        this.#noteSent(rootIds);
      },
      changed: () => this.#noteChange(),
      closed: (mayReturn) => {
        if (this.#connections.get(nodeId) !== connection) return;
        this.#connections.delete(nodeId);
        this.#noteChange();
        if (!mayReturn) return;
        const untilMs = Number.isFinite(notAfterMs)
          ? notAfterMs
          : this.#clock.wallMs() + returnMsMax;
        this.#absent.set(nodeId, { untilMs, last: connection });
      },
    });
    this.#connections.set(nodeId, connection);
    this.#absent.delete(nodeId);
    this.#noteChange();
    return connection;
  }

  /**
   * The node is not connected, but its certificate is good until then: it may come back, and its sidecars
   * may serve all the while. It counts as one that has applied nothing, so that a CA that has just
   * restarted does not find everybody ready because nobody is there yet.
   */
  expect(nodeId: SpiffeId, notAfterMs = this.#clock.wallMs() + returnMsMax): void {
    if (this.#connections.has(nodeId)) return;
    this.#absent.set(nodeId, { untilMs: notAfterMs, last: undefined });
  }

  /** The node is gone or shut out: what it holds open no longer counts, and nobody waits for it. */
  evict(nodeId: SpiffeId): void {
    this.#connections.delete(nodeId);
    this.#absent.delete(nodeId);
    this.#noteChange();
  }

  get(nodeId: SpiffeId): NodeConnection | undefined {
    return this.#connections.get(nodeId);
  }

  /** Over all nodes that are connected. */
  secrets(): SecretStandings {
    const connected = [...this.#connections.values()];
    return secretStandings(connected.map(({ nodeId, secrets }) => [nodeId, secrets]));
  }

  /** Which sidecars hold what, of the nodes and identities that `accept` takes. */
  holdings(accept: (nodeId: SpiffeId, spiffeId: string) => boolean): FleetHoldings {
    const connected = [...this.#connections.values()];
    return fleetHoldings(
      connected.map(({ nodeId, holdings }) => [nodeId, holdings]),
      accept,
    );
  }

  /** How many states were sent to nodes since the start. */
  pushes(): number {
    return this.#pushes;
  }

  count(): number {
    return this.#connections.size;
  }

  /** How far the bundle with a JWT key has got; SDS carries none, so its clients are not asked. */
  nodesOf(kid: string): Propagation {
    const { nodes, nodesApplied } = this.propagationOf(kid);
    return { nodes, nodesApplied, subscribers: 0, acknowledged: 0 };
  }

  propagationOf(rootId: string): Propagation {
    this.#dropEnded();
    const absent = [...this.#absent.values()];
    const known = [...this.#connections.values(), ...absent.flatMap(({ last }) => last ?? [])];
    const sidecars = known.map((each) => each.subscribersTo(rootId));
    const shares = sidecars.flatMap((each) => (each.open > 0 ? each.acknowledged / each.open : []));
    return {
      nodes: this.#connections.size + this.#absent.size,
      nodesApplied: known.filter((each) => each.hasApplied(rootId)).length,
      subscribers: sum(sidecars.map(({ open }) => open)),
      acknowledged: sum(sidecars.map(({ acknowledged }) => acknowledged)),
      ...(shares.length > 0 ? { sidecarShare: sum(shares) / shares.length } : {}),
    };
  }

  /** When the bundle with this key went out first, and when the picture last changed; undefined before that. */
  pushTimesOf(rootId: string): PushTimes | undefined {
    const firstMs = this.#firstSentMs.get(rootId);
    if (firstMs === undefined) return undefined;
    return { firstMs, lastChangeMs: Math.max(firstMs, this.#changedMs) };
  }

  /**
   * Whoever's certificate has ended can present it to nobody: it counts neither as away nor, should its
   * stream hang, as connected. By a clock that is not believed nobody has ended: whoever was dropped would be
   * missing from the evidence when the time returns.
   */
  #dropEnded(): void {
    if (this.#clockJudgement.doubt('settled') !== undefined) return;
    const endMs = this.#clock.wallMs() - 1000;
    for (const [nodeId, { untilMs }] of this.#absent) {
      if (untilMs <= endMs && this.#absent.delete(nodeId)) this.#noteChange();
    }
    for (const [nodeId, { notAfterMs }] of this.#connections) {
      if (notAfterMs <= endMs && this.#connections.delete(nodeId)) this.#noteChange();
    }
  }

  #noteSent(rootIds: ReadonlySet<string>): void {
    for (const id of rootIds) {
      if (!this.#firstSentMs.has(id)) this.#firstSentMs.set(id, this.#clock.wallMs());
    }
    if (this.#firstSentMs.size <= sentKeysMax) return;
    for (const id of this.#firstSentMs.keys()) {
      if (!rootIds.has(id)) this.#firstSentMs.delete(id);
    }
  }

  #noteChange(): void {
    this.#changedMs = this.#clock.wallMs();
  }
}

interface AbsentNode {
  readonly untilMs: number;
  /** How it stood when it left: what it had applied then it has still. */
  readonly last: Connection | undefined;
}

interface ConnectionListener {
  sent(rootIds: ReadonlySet<string>): void;
  /** A report said something new. */
  changed(): void;
  closed(mayReturn: boolean): void;
}

class Connection implements NodeConnection {
  readonly nodeId: SpiffeId;
  /** Of the certificate that it connected with. */
  readonly notAfterMs: number;
  appliedRevision = 0n;
  agentVersion = '';
  secrets: readonly SecretReport[] = [];
  holdings: NodeHoldings = noHoldings;
  readonly #on: ConnectionListener;
  readonly #unacknowledged = new Map<bigint, ReadonlySet<string>>();
  #appliedRoots: ReadonlySet<string> = new Set();
  #trust: readonly TrustReport[] = [];

  constructor(nodeId: SpiffeId, notAfterMs: number, on: ConnectionListener) {
    this.nodeId = nodeId;
    this.notAfterMs = notAfterMs;
    this.#on = on;
  }

  sent(revision: bigint, rootIds: ReadonlySet<string>): void {
    this.#on.sent(rootIds);
    this.#unacknowledged.set(revision, rootIds);
    const [oldest] = this.#unacknowledged.keys();
    if (this.#unacknowledged.size > unacknowledgedMax && oldest !== undefined) {
      this.#unacknowledged.delete(oldest);
    }
  }

  reported(appliedRevision: bigint, trust: readonly TrustReport[], agentVersion: string): void {
    if (agentVersion !== '') this.agentVersion = agentVersion;
    this.#trust = trust;
    this.#on.changed();
    // Only what was sent on this very stream counts: anything else is a number without a meaning here.
    const rootIds = this.#unacknowledged.get(appliedRevision);
    if (rootIds === undefined) return;
    this.#appliedRoots = rootIds;
    this.appliedRevision = appliedRevision;
    for (const revision of this.#unacknowledged.keys()) {
      if (revision <= appliedRevision) this.#unacknowledged.delete(revision);
    }
  }

  secretsReported(reports: readonly SecretReport[], holdings = noHoldings): void {
    this.secrets = boundedReports(reports);
    this.holdings = boundedHoldings(holdings);
  }

  hasApplied(rootId: string): boolean {
    return this.#appliedRoots.has(rootId);
  }

  /** A root that the node does not report on is one that none of its clients has acknowledged. */
  subscribersTo(rootId: string): { readonly open: number; readonly acknowledged: number } {
    const report = this.#trust.find(({ authorityKeyId }) => authorityKeyId === rootId);
    if (report !== undefined) {
      // No more than all: what one node claims too much must not make up for what another lacks.
      const open = Math.min(report.subscribers, nodeSubscribersMax);
      return { open, acknowledged: Math.min(report.acknowledged, open) };
    }
    const open = Math.max(0, ...this.#trust.map((each) => each.subscribers));
    return { open: Math.min(open, nodeSubscribersMax), acknowledged: 0 };
  }

  close(): void {
    this.#on.closed(true);
  }

  leave(): void {
    this.#on.closed(false);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

// For whom no end is known: agents try again at least every two seconds, and this leaves room for a slow start.
const returnMsMax = 10_000;
// Far above what one bundle holds; those that have left it are dropped then.
const sentKeysMax = 256;
// Far above the sidecars of one machine; a claim beyond it would drown the counts that people read.
const nodeSubscribersMax = 10_000;
// States sent but not yet acknowledged; a node further behind than this acknowledges a newer one anyway.
const unacknowledgedMax = 64;
