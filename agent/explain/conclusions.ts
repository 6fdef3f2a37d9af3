/** What an explanation comes to, in sentences: the weightiest first. Pure. */

import type { ExplanationView, LifeView, MatchedEntryView } from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';

export function conclusionsOf(explanation: Omit<ExplanationView, 'conclusions'>): string[] {
  const { matched, attestors, entryCount, revision, nearest, ca } = explanation;
  const because = ca.reason === undefined ? '' : `: ${ca.reason}`;
  const failed = attestors.flatMap(({ name, failure }) =>
    failure === undefined ? [] : [`the ${name} attestor could not say: ${failure}`],
  );
  if (revision === undefined) {
    const why =
      ca.state === 'joining' ? 'the node is not attested yet' : 'the CA has not told it any';
    return [`no identity: this agent knows no entries, because ${why}${because}`, ...failed];
  }
  if (matched.length === 0) return [...noMatch(entryCount, nearest), ...failed];
  return [...matched.flatMap((entry) => ofMatched(entry, ca.state, because)), ...failed];
}

function noMatch(entryCount: number, nearest: ExplanationView['nearest']): string[] {
  if (entryCount === 0) return ['no identity: this node has no registration entries'];
  const [first] = nearest;
  const head = `no identity: none of this node's ${entryCount} entries fits`;
  if (first === undefined) return [head];
  const { entryId, spiffeId, lacking, because } = first;
  return [
    `${head}; the nearest, ${entryId} for ${spiffeId}, asks for ${lacking.join(' and ')}`,
    ...because,
  ];
}

function ofMatched(entry: MatchedEntryView, link: string, because: string): string[] {
  const { spiffeId, svid, refusal, isDefault, isDerived, life } = entry;
  const what = isDefault ? 'its default identity' : 'another identity of it';
  const lines: string[] = [];
  if (svid !== undefined) lines.push(`${what} is ${spiffeId}, good until ${svid.notAfter}`);
  if (refusal !== undefined) {
    const also = svid === undefined ? `no certificate for ${spiffeId}` : 'it is not renewed';
    lines.push(`${also}: the CA refused at ${refusal.at}: ${refusal.reason}`);
  } else if (svid === undefined) {
    const why =
      link !== 'connected'
        ? `the CA is away${because}`
        : isDerived
          ? 'it is asked for when a workload with these facts connects'
          : 'it is being asked for';
    lines.push(`no certificate for ${spiffeId} yet: ${why}`);
  }
  return life === undefined ? lines : [...lines, ...capOf(spiffeId, life)];
}

function capOf(
  spiffeId: string,
  { cappedBy, askedMs, issuedMs, issuerNotAfter }: LifeView,
): string[] {
  if (cappedBy === 'none') return [];
  const asked = askedMs === undefined ? 'asked for' : `the ${durationText(askedMs)} asked for`;
  const by =
    cappedBy === 'issuer'
      ? `its issuing authority ends at ${issuerNotAfter ?? 'an unknown time'}`
      : `its ${cappedBy} ends then`;
  return [`${spiffeId} got ${durationText(issuedMs)} and not ${asked}: ${by}`];
}

function durationText(ms: number): string {
  return formatDurationMs(Math.round(ms / 1000) * 1000);
}
