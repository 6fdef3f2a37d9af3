/**
 * Why a process has the identities that it has, or none: attested as if it had connected, matched as its
 * connection would be, and told what the CA said to each entry. Rules of issuance are judged by the CA alone;
 * what is told of them is its own newest word.
 */

import {
  AdminError,
  type ExplanationView,
  type LifeView,
  type MatchedEntryView,
} from '../../api/index.ts';
import type { AdminPeer } from '../admin/admin-peer.ts';
import type { AgentSources } from '../admin/agent-sources.ts';
import { heldSvidView, refusalView, standingView, timeText } from '../admin/status-view.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { EntrySvid } from '../svid/entry-svid.ts';
import { authorizedEntries } from '../workload/authorized-entries.ts';
import { derivedEntries } from '../workload/derived-entries.ts';
import { attestProcess } from './attest-process.ts';
import { conclusionsOf } from './conclusions.ts';
import { consideredRules } from './considered-rules.ts';
import { nearestMisses } from './nearest-misses.ts';

/** Throws AdminError if there is no such process, if it is not the asker's to look at, or if none is attested here. */
export async function explainProcess(
  pid: number,
  peer: AdminPeer,
  sources: AgentSources,
): Promise<ExplanationView> {
  const { clock, attestors } = sources;
  if (attestors.length === 0) {
    throw new AdminError(
      'failed_precondition',
      'explain_unavailable',
      'callers are known here by their certificates, and no process is attested',
      "ask an agent's admin socket, or see who has what with: signet sds dump",
    );
  }
  const isSought = (prefix: string): boolean => asksFor(sources.state.current(), prefix);
  const attested = await attestProcess(pid, peer.uid, { attestors, isSought, clock });
  const { selectors } = attested;
  const state = sources.state.current();
  const entries = (state?.entries ?? []).filter(({ derivedFrom }) => derivedFrom === undefined);
  const derivables = state?.derivables ?? [];
  const candidates = [...entries, ...derivedEntries(derivables, selectors)];
  const matched = authorizedEntries(candidates, selectors).map((entry, index) =>
    matchedView(entry, index === 0, sources),
  );
  const failures = new Map(attested.attestors.map(({ name, failure }) => [name, failure]));
  const explanation: Omit<ExplanationView, 'conclusions'> = {
    pid,
    uid: attested.uid,
    gid: attested.gid,
    ...(attested.executable === undefined ? {} : { executable: attested.executable }),
    attestors: attested.attestors.map(({ name, failure, tookMs, ...found }) => ({
      name,
      selectors: [...found.selectors],
      ...(failure === undefined ? {} : { failure }),
      tookMs,
    })),
    notSought: [...attested.notSought],
    ca: standingView(sources),
    ...(state === undefined ? {} : { revision: Number(state.revision) }),
    entryCount: entries.length,
    matched,
    nearest: nearestMisses(entries, selectors, failures),
    rules: consideredRules(derivables, selectors),
    outcome: matched.some(({ svid }) => svid !== undefined) ? 'identity' : 'no_identity',
  };
  return { ...explanation, conclusions: conclusionsOf(explanation) };
}

function matchedView(
  entry: AgentEntry,
  isDefault: boolean,
  { svids, attested, clock }: AgentSources,
): MatchedEntryView {
  const held = svids.current().get(entry.id);
  const refusal = attested()?.refusals.get(entry.id);
  const isDerived = entry.derivedFrom !== undefined;
  return {
    entryId: entry.id,
    spiffeId: entry.spiffeId,
    hint: entry.hint,
    isDefault,
    isDerived,
    selectors: [...entry.selectors],
    verdict: refusal !== undefined ? 'refused' : held === undefined ? 'unasked' : 'issued',
    ...(refusal === undefined ? {} : { refusal: refusalView(refusal) }),
    ...(held === undefined
      ? {}
      : {
          svid: heldSvidView(held, isDerived),
          life: lifeOf(entry, held, clock.wallMs()),
        }),
  };
}

function lifeOf({ ttlMs }: AgentEntry, held: EntrySvid, nowMs: number): LifeView {
  const [leaf, issuer] = held.svid.chain;
  const fromMs = held.issuedAtMs ?? leaf?.notBeforeMs ?? nowMs;
  return {
    ...(ttlMs === undefined ? {} : { askedMs: ttlMs }),
    issuedMs: Math.max(0, held.notAfterMs - fromMs),
    leftMs: Math.max(0, held.notAfterMs - nowMs),
    ...(issuer === undefined ? {} : { issuerNotAfter: timeText(issuer.notAfterMs) }),
    cappedBy: held.cappedBy ?? 'none',
  };
}

function asksFor(state: CaState | undefined, prefix: string): boolean {
  const derivables = state?.derivables ?? [];
  const ofEntries = [...(state?.entries ?? []), ...derivables].some(({ selectors }) =>
    selectors.some((selector) => selector.startsWith(prefix)),
  );
  return (
    ofEntries ||
    derivables.some(({ parts }) =>
      parts.some((part) => part.kind === 'fact' && part.prefix.startsWith(prefix)),
    )
  );
}
