/**
 * Sync: the state a node may know, whole each time, pushed when it changes. A peer that is slow to read
 * gets the newest state once, however many there were in between.
 */

import type { Entry, SyncRequest, SyncResponse } from '../../api/index.ts';
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
import type { RevocationState } from '../revocation/revocation.ts';
import { NodePushes, type PushTimes } from '../revocation/push-times.ts';

/** The entries as they are pushed; the registry's index answers it. */
export interface SyncEntries {
  entriesOf(nodeId: SpiffeId): readonly RegistrationEntry[];
  /** Whether the node is attested and not shut out. */
  isNode(nodeId: SpiffeId): boolean;
  revision(): number;
  /** Calls `listener` after every change that this node can see, until the returned function is called. */
  subscribe(listener: () => void, nodeId: SpiffeId): () => void;
}

/** What is revoked, as it is pushed. */
export interface SyncRevocations {
  readonly state: Watch<RevocationState>;
  readonly times: PushTimes;
  isRevoked(serial: string): boolean;
}

export interface SyncDeps {
  readonly revocations: SyncRevocations;
  readonly entries: SyncEntries;
  readonly trust: Watch<Trust>;
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
    deps.revocations.state.subscribe(() => changes.notice()),
    deps.entries.subscribe(() => changes.notice(), connection.nodeId),
  ];
  try {
    // Never a number that the node has seen before, even if the store was restored from a backup.
    let last = appliedBefore < revisionMax ? appliedBefore : 0n;
    let lastContent = '';
    let wasSeen = false;
    while (!signal.aborted) {
      // A node attested a moment ago may not be seen yet; one that was seen and is not has been shut out.
      const isSeen = deps.entries.isNode(connection.nodeId);
      if (wasSeen && !isSeen) throw shutOut(connection.nodeId);
      wasSeen = isSeen;
      if (deps.revocations.isRevoked(node.serial)) throw revoked(node.id);
      const trust = deps.trust.current();
      const entries = deps.entries.entriesOf(connection.nodeId);
      const revocation = deps.revocations.state.current();
      const content = `${revocation.version} ${contentOf(trust, entries)}`;
      if (content !== lastContent) {
        const stored = BigInt(Math.max(trust.revision, deps.entries.revision()));
        last = stored > last ? stored : last + 1n;
        lastContent = content;
        connection.sent(last, keyIdsOf(trust));
        stream.send(stateOf(deps, last, trust, entries, revocation));
        pushes.sent(last, revocation.version);
        await stream.drained();
      }
      await changes.next();
      // Entries often come many at a time; one state for all of them is enough.
      await sleep(deps.clock, coalesceMs, signal);
    }
  } finally {
    for (const each of stop) each();
  }
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

/** Equal for equal states: an entry's revision changes with every change of the entry. */
function contentOf(trust: Trust, entries: readonly RegistrationEntry[]): string {
  const parts = entries.map(({ id, revision }) => `${id}:${revision}`);
  const tainted = trust.taintedKeyIds.join(',');
  return `${trust.bundle.sequence} ${trust.activeRoot.id} ${tainted} ${parts.join(' ')}`;
}

/** The key ids of the roots and of the JWT keys in the bundle. */
function keyIdsOf({ bundle }: Trust): ReadonlySet<string> {
  return new Set([
    // Of the key itself: an upstream's certificate may name its key otherwise.
    ...bundle.x509Authorities.map(({ spki }) => toHex(keyIdOfSpki(spki))),
    ...bundle.jwtAuthorities.map(({ keyId }) => keyId),
  ]);
}

function stateOf(
  deps: SyncDeps,
  revision: bigint,
  trust: Trust,
  entries: readonly RegistrationEntry[],
  revocation: RevocationState,
): SyncResponse {
  return {
    revision,
    entries: entries.map((entry) => entryOf(entry, deps.x509SvidMs)),
    bundle: Buffer.from(trust.bundleDocument),
    activeRootKeyId: trust.activeRoot.id,
    crls: revocation.crls.map((der) => Buffer.from(der)),
    revokedSerials: [...revocation.serials],
    taintedKeyIds: [...trust.taintedKeyIds],
  };
}

function entryOf(entry: RegistrationEntry, defaultTtlMs: number): Entry {
  return {
    id: entry.id,
    spiffeId: entry.spiffeId,
    selectors: [...entry.selectors],
    x509SvidTtlMs: BigInt(entry.x509SvidTtlMs ?? defaultTtlMs),
    dnsNames: [...entry.dnsNames],
    hint: entry.hint,
    priority: entry.priority,
    createdAtMs: BigInt(entry.createdAtMs),
    revision: BigInt(entry.revision),
  };
}

const coalesceMs = 10;
// The bundle holds fewer roots than this; a longer report is not about them.
const trustReportsMax = 64;
// Far above any store's revision; a number near the wire's end could not be followed by another.
const revisionMax = 2n ** 62n;
