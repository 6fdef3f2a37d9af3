/** The nodes that hold a Sync stream now, what each has applied, and how their SDS clients stand to each root. */

import type { Clock } from '../../core/index.ts';
import type { TrustReport } from '../../api/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { Propagation } from '../authority/rotation.ts';

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
  /** Nodes that should come back soon, and until when they are waited for. */
  readonly #expected = new Map<SpiffeId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Opens a node's stream; a stream it had before no longer counts. */
  open(nodeId: SpiffeId): NodeConnection {
    const connection = new Connection(nodeId, () => {
      if (this.#connections.get(nodeId) !== connection) return;
      this.#connections.delete(nodeId);
      this.expect(nodeId);
    });
    this.#connections.set(nodeId, connection);
    this.#expected.delete(nodeId);
    return connection;
  }

  /**
   * The node was just here, and is most likely about to connect again. Until it has had the time to, it
   * counts as one that has applied nothing: else a CA that has just restarted, with no node connected
   * yet, would find that every connected node is ready.
   */
  expect(nodeId: SpiffeId): void {
    if (this.#connections.has(nodeId)) return;
    this.#expected.set(nodeId, this.#clock.monotonicMs() + returnMsMax);
  }

  /** The node is gone for good. */
  forget(nodeId: SpiffeId): void {
    this.#expected.delete(nodeId);
  }

  get(nodeId: SpiffeId): NodeConnection | undefined {
    return this.#connections.get(nodeId);
  }

  count(): number {
    return this.#connections.size;
  }

  /** Every node has the bundle with this JWT key; SDS carries none, so its clients are not asked. */
  hasArrived(kid: string): boolean {
    const { nodes, nodesApplied } = this.propagationOf(kid);
    return nodesApplied >= nodes;
  }

  propagationOf(rootId: string): Propagation {
    const nowMs = this.#clock.monotonicMs();
    for (const [nodeId, untilMs] of this.#expected) {
      if (untilMs <= nowMs) this.#expected.delete(nodeId);
    }
    const connections = [...this.#connections.values()];
    return {
      nodes: connections.length + this.#expected.size,
      nodesApplied: connections.filter((each) => each.hasApplied(rootId)).length,
      subscribers: sum(connections.map((each) => each.subscribersTo(rootId).open)),
      acknowledged: sum(connections.map((each) => each.subscribersTo(rootId).acknowledged)),
    };
  }
}

class Connection implements NodeConnection {
  readonly nodeId: SpiffeId;
  appliedRevision = 0n;
  agentVersion = '';
  readonly #onClose: () => void;
  readonly #unacknowledged = new Map<bigint, ReadonlySet<string>>();
  #appliedRoots: ReadonlySet<string> = new Set();
  #trust: readonly TrustReport[] = [];

  constructor(nodeId: SpiffeId, onClose: () => void) {
    this.nodeId = nodeId;
    this.#onClose = onClose;
  }

  sent(revision: bigint, rootIds: ReadonlySet<string>): void {
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
    this.#onClose();
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

// Agents try again at least every two seconds; this leaves them room for a slow start.
const returnMsMax = 10_000;
// States sent but not yet acknowledged; a node further behind than this acknowledges a newer one anyway.
const unacknowledgedMax = 64;
