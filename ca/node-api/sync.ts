/**
 * Sync: the state a node may know, whole each time, pushed when it changes. A peer that is slow to read
 * gets the newest state once, however many there were in between.
 */

import type { SyncRequest, SyncResponse } from '../../api/index.ts';
import { type Clock, type Logger, sleep, type Watch } from '../../core/index.ts';
import { keyIdOfSpki } from '../../pki/index.ts';
import type { CallContext, Duplex } from '../../rpc/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { Trust } from '../authority/trust.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { toHex } from '../../core/index.ts';
import { versionLengthMax } from './attest.ts';
import type { ConnectedNodes, NodeConnection } from './connected-nodes.ts';
import { NodeApiError } from './node-api-error.ts';
import { revoked, type VerifiedNode } from './node-peers.ts';
import type { DerivableIdentity } from '../registry/workload-identity.ts';
import { nodeState, type StateParts } from './node-state.ts';
import type { ForeignBundleSet } from '../federation/foreign-bundles.ts';
import type { SecretHeads } from '../secrets/secret-heads.ts';
import type { RevocationState } from '../revocation/revocation.ts';
import { NodePushes, type PushTimes } from '../revocation/push-times.ts';

/** The entries as they are pushed; the registry's index answers it. */
export interface SyncEntries {
  entriesOf(nodeId: SpiffeId): readonly RegistrationEntry[];
  derivablesOf(nodeId: SpiffeId): readonly DerivableIdentity[];
  /** Whether the node is attested and not shut out. */
  isNode(nodeId: SpiffeId): boolean;
  revision(): number;
  /** Calls `listener` after every change that this node can see, until the returned function is called. */
  subscribe(listener: () => void, nodeId: SpiffeId): () => void;
}

/** The named secrets, as nodes are told of them; absent: there are none. */
export type SyncSecrets = Pick<SecretHeads, 'headsOf' | 'revision' | 'subscribe'>;

/** What is revoked, as it is pushed. */
export interface SyncRevocations {
  readonly state: Watch<RevocationState>;
  readonly times: PushTimes;
  isRevoked(serial: string): boolean;
}

export interface SyncDeps {
  readonly revocations: SyncRevocations;
  readonly entries: SyncEntries;
  readonly secretHeads?: SyncSecrets;
  readonly trust: Watch<Trust>;
  /** The bundles of other trust domains; absent: there are none. */
  readonly foreignBundles?: { readonly state: Watch<ForeignBundleSet> };
  readonly connected: ConnectedNodes;
  readonly x509SvidMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Returns when the node ends the stream; throws {@link NodeApiError} when its certificate has ended. */
export async function syncNode(
  deps: SyncDeps,
  stream: Duplex<SyncRequest, SyncResponse>,
  node: VerifiedNode,
  context: Pick<CallContext, 'signal'>,
): Promise<void> {
  const requests = stream.requests[Symbol.asyncIterator]();
  const first = await requests.next();
  if (first.done === true) return;
  const connection = deps.connected.open(node.id, node.notAfterMs);
  const { signal } = context;
  const ended = new AbortController();
  const end = (): void => ended.abort();
  signal.addEventListener('abort', end, { once: true });
  let expiry = deps.clock.after(0, () => watchExpiry());
  const watchExpiry = (): void => {
    const leftMs = node.notAfterMs + 1000 - deps.clock.wallMs();
    // A timer may fire early: wall time may jump, and no timer lasts for months.
    if (leftMs <= 0) end();
    else expiry = deps.clock.after(leftMs, watchExpiry);
  };
  const { revocations } = deps;
  const pushes = new NodePushes(revocations.times, revocations.state.current().version, () =>
    deps.clock.monotonicMs(),
  );
  const report = (request: SyncRequest): void => {
    pushes.reported(request.appliedRevision);
    connection.reported(
      request.appliedRevision,
      request.trust.slice(0, trustReportsMax),
      request.agentVersion.slice(0, versionLengthMax),
    );
    connection.secretsReported(request.secretReports, {
      holdings: request.secretHoldings,
      leftOut: request.secretHoldingsLeftOut,
    });
  };
  report(first.value);
  deps.log.info('node connected', { node: node.id, address: node.address });
  try {
    // Both are watched to their end, so that a stream that breaks late breaks nothing else.
    await Promise.all([
      readReports(requests, report).finally(end),
      pushStates(
        deps,
        stream,
        { connection, node, pushes },
        first.value.appliedRevision,
        ended.signal,
      ).then(() => checkNotEnded(deps.clock, node)),
    ]);
  } catch (error) {
    // Shut out or revoked: it cannot come back as it is, so no rotation waits for it.
    if (error instanceof NodeApiError && goneCodes.has(error.code)) connection.leave();
    throw error;
  } finally {
    expiry.cancel();
    signal.removeEventListener('abort', end);
    connection.close();
    deps.log.info('node disconnected', { node: node.id });
  }
}

function checkNotEnded(clock: Clock, node: VerifiedNode): void {
  if (clock.wallMs() < node.notAfterMs + 1000) return;
  throw new NodeApiError(
    'unauthenticated',
    'node_svid_expired',
    `the certificate that ${node.id} connected with has ended`,
    { remedy: 'connect again with the renewed one' },
  );
}

async function readReports(
  requests: AsyncIterator<SyncRequest>,
  report: (request: SyncRequest) => void,
): Promise<void> {
  for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
    report(next.value);
  }
}

interface Pushing {
  readonly connection: NodeConnection;
  readonly node: VerifiedNode;
  readonly pushes: NodePushes;
}

async function pushStates(
  deps: SyncDeps,
  stream: Duplex<SyncRequest, SyncResponse>,
  { connection, node, pushes }: Pushing,
  appliedBefore: bigint,
  signal: AbortSignal,
): Promise<void> {
  const changes = new Changes(signal);
  const stop = [
    deps.trust.subscribe(() => changes.notice()),
    deps.foreignBundles?.state.subscribe(() => changes.notice()) ?? (() => {}),
    deps.revocations.state.subscribe(() => changes.notice()),
    deps.entries.subscribe(() => changes.notice(), connection.nodeId),
    deps.secretHeads?.subscribe(() => changes.notice()) ?? (() => {}),
  ];
  // Never a number that the node has seen before, even if the store was restored from a backup.
  let last = appliedBefore < revisionMax ? appliedBefore : 0n;
  let lastContent = '';
  let wasSeen = false;
  // A function of its own, so that a stream that waits holds nothing of what it sent but the content's text.
  const pushIfNew = (): void => {
    // A node attested a moment ago may not be seen yet; one that was seen and is not has been shut out.
    const isSeen = deps.entries.isNode(connection.nodeId);
    if (wasSeen && !isSeen) throw shutOut(connection.nodeId);
    wasSeen = isSeen;
    if (deps.revocations.isRevoked(node.serial)) throw revoked(node.id);
    const parts = partsOf(deps, connection.nodeId);
    const state = nodeState(parts);
    if (state.content === lastContent) return;
    const stored = BigInt(
      Math.max(
        parts.trust.revision,
        deps.entries.revision(),
        deps.secretHeads?.revision() ?? 0,
        parts.foreign?.revision ?? 0,
      ),
    );
    last = stored > last ? stored : last + 1n;
    lastContent = state.content;
    connection.sent(last, keyIdsOf(parts.trust));
    stream.send(state.message(last));
    pushes.sent(last, parts.revocation.version);
  };
  try {
    while (!signal.aborted) {
      pushIfNew();
      await stream.drained();
      await changes.next();
      // Entries often come many at a time; one state for all of them is enough.
      await sleep(deps.clock, coalesceMs, signal);
      await deps.connected.turns.take();
    }
  } finally {
    for (const each of stop) each();
  }
}

function partsOf(deps: SyncDeps, nodeId: SpiffeId): StateParts {
  const entries = deps.entries.entriesOf(nodeId);
  const derivables = deps.entries.derivablesOf(nodeId);
  return {
    trust: deps.trust.current(),
    entries,
    derivables,
    secrets: deps.secretHeads?.headsOf([...entries, ...derivables]) ?? [],
    revocation: deps.revocations.state.current(),
    foreign: deps.foreignBundles?.state.current(),
    x509SvidMs: deps.x509SvidMs,
  };
}

function shutOut(nodeId: SpiffeId): NodeApiError {
  return new NodeApiError(
    'permission_denied',
    'node_unknown',
    `node ${nodeId} is not registered here any more`,
    { remedy: 'attest it again' },
  );
}

/** "Something has changed since you last looked", for one looker. */
class Changes {
  #changed = false;
  #wake: (() => void) | undefined;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.notice(), { once: true });
  }

  notice(): void {
    this.#changed = true;
    this.#wake?.();
  }

  async next(): Promise<void> {
    if (!this.#changed && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    this.#changed = false;
  }
}

/** The key ids of the roots and of the JWT keys in the bundle. */
function keyIdsOf(trust: Trust): ReadonlySet<string> {
  const known = knownKeyIds.get(trust);
  if (known !== undefined) return known;
  const { bundle } = trust;
  const keyIds = new Set([
    // Of the key itself: an upstream's certificate may name its key otherwise.
    ...bundle.x509Authorities.map(({ spki }) => toHex(keyIdOfSpki(spki))),
    ...bundle.jwtAuthorities.map(({ keyId }) => keyId),
  ]);
  knownKeyIds.set(trust, keyIds);
  return keyIds;
}

const goneCodes: ReadonlySet<string> = new Set(['node_unknown', 'node_svid_revoked']);
// Hashed once for all nodes; it goes when the trust does.
const knownKeyIds = new WeakMap<Trust, ReadonlySet<string>>();
const coalesceMs = 10;
// The bundle holds fewer roots than this; a longer report is not about them.
const trustReportsMax = 64;
// Far above any store's revision; a number near the wire's end could not be followed by another.
const revisionMax = 2n ** 62n;
