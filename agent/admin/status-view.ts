/** The answer of `/v1/status`: times as text, lists bounded, keys nowhere. */

import type {
  AgentStatusView,
  AttestorView,
  HeldSvidView,
  SvidRefusalView,
} from '../../api/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { EntrySvid } from '../svid/entry-svid.ts';
import type { SvidRefusal } from '../svid/svid-rotation.ts';
import type { AttestorStatus } from '../workload/attestor-runs.ts';
import { type AgentSources, missingEntries } from './agent-sources.ts';
import { whyNotReady } from './readiness.ts';

export function agentStatus(sources: AgentSources): AgentStatusView {
  const { clock, state, svids, attested } = sources;
  const known = state.current();
  const here = attested();
  const held = [...svids.current().values()].toSorted(
    (left, right) => left.notAfterMs - right.notAfterMs,
  );
  const derived = new Set(
    (known?.entries ?? []).flatMap(({ id, derivedFrom }) =>
      derivedFrom === undefined ? [] : [id],
    ),
  );
  const reasons = whyNotReady(sources);
  return {
    trustDomain: sources.trustDomain,
    version: sources.version,
    startedAt: timeText(sources.startedAtMs),
    now: timeText(clock.wallMs()),
    socket: sources.socket,
    ca: { address: sources.caAddress, ...standingView(sources) },
    ...(here === undefined ? {} : { node: nodeView(here.node) }),
    ...(known === undefined ? {} : { revision: Number(known.revision) }),
    activeRootKeyId: known?.activeRootKeyId ?? '',
    ready: reasons.length === 0,
    reasons: [...reasons],
    ...(here?.survival.survivesUntilMs === undefined
      ? {}
      : { survivesUntil: timeText(here.survival.survivesUntilMs) }),
    ...(sources.cache === undefined ? {} : { cache: { ...sources.cache() } }),
    entryCount: known?.entries.length ?? 0,
    svidCount: held.length,
    svids: held.slice(0, listMax).map((each) => heldSvidView(each, derived.has(each.entryId))),
    missing: missingEntries(sources)
      .slice(0, listMax)
      .map((entry) => missingView(entry, here?.refusals.get(entry.id))),
    attestors: sources.attestorStatus.current().map(attestorView),
    sds: sdsCounts(sources),
  };
}

export function standingView({ standing }: AgentSources): {
  state: AgentStatusView['ca']['state'];
  since: string;
  reason?: string;
} {
  const { kind, sinceMs, reason } = standing.current();
  return {
    state: kind,
    since: timeText(sinceMs),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function heldSvidView(held: EntrySvid, isDerived: boolean): HeldSvidView {
  const [leaf] = held.svid.chain;
  return {
    entryId: held.entryId,
    spiffeId: held.svid.id,
    isDerived,
    serial: leaf?.serial ?? '',
    notBefore: timeText(leaf?.notBeforeMs ?? held.notAfterMs),
    notAfter: timeText(held.notAfterMs),
    renewAt: timeText(held.renewAtMs),
    rootKeyId: held.rootKeyId,
  };
}

export function refusalView(refusal: SvidRefusal): SvidRefusalView {
  const { atMs, code, reason, failures, retryInMs } = refusal;
  return {
    at: timeText(atMs),
    ...(code === undefined ? {} : { code }),
    reason: reason.slice(0, reasonLengthMax),
    failures,
    nextTryInMs: Math.round(retryInMs),
  };
}

export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

export function sdsCounts({ sds }: AgentSources): AgentStatusView['sds'] {
  const clients = sds.clients.snapshot();
  const counts = { streams: clients.length, acknowledged: 0, waiting: 0, refused: 0 };
  for (const { names } of clients) {
    for (const { state } of names) counts[state === 'sent' ? 'waiting' : state] += 1;
  }
  return counts;
}

function nodeView(node: {
  readonly id: string;
  readonly chain: EntrySvid['svid']['chain'];
  readonly notAfterMs: number;
  readonly renewAtMs: number;
  readonly rootKeyId: string;
}): NonNullable<AgentStatusView['node']> {
  return {
    spiffeId: node.id,
    serial: node.chain[0]?.serial ?? '',
    notAfter: timeText(node.notAfterMs),
    renewAt: timeText(node.renewAtMs),
    rootKeyId: node.rootKeyId,
  };
}

function missingView(
  { id, spiffeId }: AgentEntry,
  refusal: SvidRefusal | undefined,
): AgentStatusView['missing'][number] {
  return {
    entryId: id,
    spiffeId,
    ...(refusal === undefined ? {} : { refusal: refusalView(refusal) }),
  };
}

function attestorView(status: AttestorStatus): AttestorView {
  const { name, failing, failureCount, lastSuccessMs, lastFailure, lastRefusal } = status;
  const happened = (one: { readonly atMs: number; readonly reason: string }) => ({
    at: timeText(one.atMs),
    reason: one.reason.slice(0, reasonLengthMax),
  });
  return {
    name,
    failing,
    failureCount,
    ...(lastSuccessMs === undefined ? {} : { lastSuccess: timeText(lastSuccessMs) }),
    ...(lastFailure === undefined ? {} : { lastFailure: happened(lastFailure) }),
    ...(lastRefusal === undefined ? {} : { lastRefusal: happened(lastRefusal) }),
  };
}

// A page that a person can still read; the counts tell the rest.
const listMax = 1000;
const reasonLengthMax = 1024;
