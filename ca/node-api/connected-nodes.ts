/** The nodes that hold a Sync stream now, what each has applied, and how their SDS clients stand to each root. */

import type { Clock } from '../../core/index.ts';
import type { TrustReport } from '../../api/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { Propagation } from '../authority/evidence.ts';

export interface NodeConnection {
  readonly nodeId: SpiffeId;
  readonly appliedRevision: bigint;
  readonly agentVersion: string;
  /** A state was sent: its revision and the roots in its bundle. */
  sent(revision: bigint, rootIds: ReadonlySet<string>): void;
  /** The node says what it has applied, and the whole picture of its clients. */
  reported(appliedRevision: bigint, trust: readonly TrustReport[], agentVersion: string): void;
  close(): void;
}

export class ConnectedNodes {
  readonly #clock: Clock;
  /** The newest stream of each node. */
  readonly #connections = new Map<SpiffeId, Connection>();
  /** Nodes that are away with a certificate that is still good: how they stood, and until when they count. */
  readonly #absent = new Map<SpiffeId, AbsentNode>();

  /** States sent to all nodes since the start. */
  #pushes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Opens a node's stream; a stream it had before no longer counts. */
  open(nodeId: SpiffeId, notAfterMs = this.#clock.wallMs() + returnMsMax): NodeConnection {
    const connection = new Connection(nodeId, {
      sent: () => {
        this.#pushes += 1;
      },
      closed: () => {
        if (this.#connections.get(nodeId) !== connection) return;
        this.#connections.delete(nodeId);
        this.#absent.set(nodeId, { untilMs: notAfterMs, last: connection });
      },
    });
    this.#connections.set(nodeId, connection);
    this.#absent.delete(nodeId);
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

  /** The node is gone for good. */
  forget(nodeId: SpiffeId): void {
    this.#absent.delete(nodeId);
  }

  /** The node was shut out: what it holds open no longer counts, and nobody waits for it. */
  evict(nodeId: SpiffeId): void {
    this.#connections.delete(nodeId);
    this.#absent.delete(nodeId);
  }

  get(nodeId: SpiffeId): NodeConnection | undefined {
    return this.#connections.get(nodeId);
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
    return { ...this.propagationOf(kid), subscribers: 0, acknowledged: 0 };
  }

  propagationOf(rootId: string): Propagation {
    const nowMs = this.#clock.wallMs();
    for (const [nodeId, { untilMs }] of this.#absent) {
      if (untilMs + 1000 <= nowMs) this.#absent.delete(nodeId);
    }
    const absent = [...this.#absent.values()];
    const known = [...this.#connections.values(), ...absent.flatMap(({ last }) => last ?? [])];
    return {
      nodes: this.#connections.size + this.#absent.size,
      nodesApplied: known.filter((each) => each.hasApplied(rootId)).length,
      subscribers: sum(known.map((each) => each.subscribersTo(rootId).open)),
      acknowledged: sum(known.map((each) => each.subscribersTo(rootId).acknowledged)),
    };
  }
}

interface AbsentNode {
  readonly untilMs: number;
  /** How it stood when it left: what it had applied then it has still. */
  readonly last: Connection | undefined;
}

interface ConnectionListener {
  sent(): void;
  closed(): void;
}

class Connection implements NodeConnection {
  readonly nodeId: SpiffeId;
  appliedRevision = 0n;
  agentVersion = '';
  readonly #on: ConnectionListener;
  readonly #unacknowledged = new Map<bigint, ReadonlySet<string>>();
  #appliedRoots: ReadonlySet<string> = new Set();
  #trust: readonly TrustReport[] = [];

  constructor(nodeId: SpiffeId, on: ConnectionListener) {
    this.nodeId = nodeId;
    this.#on = on;
  }

  sent(revision: bigint, rootIds: ReadonlySet<string>): void {
    this.#on.sent();
    this.#unacknowledged.set(revision, rootIds);
    const [oldest] = this.#unacknowledged.keys();
    if (this.#unacknowledged.size > unacknowledgedMax && oldest !== undefined) {
      this.#unacknowledged.delete(oldest);
    }
  }

  reported(appliedRevision: bigint, trust: readonly TrustReport[], agentVersion: string): void {
    if (agentVersion !== '') this.agentVersion = agentVersion;
    this.#trust = trust;
    // Only what was sent on this very stream counts: anything else is a number without a meaning here.
    const rootIds = this.#unacknowledged.get(appliedRevision);
    if (rootIds === undefined) return;
    this.#appliedRoots = rootIds;
    this.appliedRevision = appliedRevision;
    for (const revision of this.#unacknowledged.keys()) {
      if (revision <= appliedRevision) this.#unacknowledged.delete(revision);
    }
  }

  hasApplied(rootId: string): boolean {
    return this.#appliedRoots.has(rootId);
  }

  /** A root that the node does not report on is one that none of its clients has acknowledged. */
  subscribersTo(rootId: string): { readonly open: number; readonly acknowledged: number } {
    const report = this.#trust.find(({ authorityKeyId }) => authorityKeyId === rootId);
    if (report !== undefined) {
      // No more than all: what one node claims too much must not make up for what another lacks.
      const acknowledged = Math.min(report.acknowledged, report.subscribers);
      return { open: report.subscribers, acknowledged };
    }
    return { open: Math.max(0, ...this.#trust.map((each) => each.subscribers)), acknowledged: 0 };
  }

  close(): void {
    this.#on.closed();
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

// For whom no end is known: agents try again at least every two seconds, and this leaves room for a slow start.
const returnMsMax = 10_000;
// States sent but not yet acknowledged; a node further behind than this acknowledges a newer one anyway.
const unacknowledgedMax = 64;
