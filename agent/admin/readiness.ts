/**
 * Whether identities can be served for some time to come. It turns before the first certificate ends, by the
 * margin of `survival.ts`, so that whoever watches can act while all still works.
 */

import { type AgentSources, missingEntries } from './agent-sources.ts';

/** Why the agent is not ready; empty when it is. A refusal of the CA's policy is no fault of the agent's. */
export function whyNotReady(sources: AgentSources): readonly string[] {
  const standing = sources.standing.current();
  const reasons: string[] = [];
  const because = standing.reason === undefined ? '' : `: ${standing.reason}`;
  if (sources.state.current() === undefined) {
    reasons.push(
      standing.kind === 'joining'
        ? `the node is not attested yet${because}`
        : `the CA has not told this agent its entries yet${because}`,
    );
  }
  if (standing.kind === 'turned_away') {
    reasons.push(`the node is not attested again${because}`);
  }
  if (standing.kind === 'refused') reasons.push(`the CA will not have this node${because}`);
  const { survival } = sources.attested() ?? {};
  if (survival?.state === 'ending' && survival.survivesUntilMs !== undefined) {
    const end = new Date(survival.survivesUntilMs).toISOString();
    reasons.push(`the certificate of ${survival.first} ends at ${end} and has not been renewed`);
  }
  // While the CA is there they are on their way, or it refuses them.
  const missing = missingEntries(sources).length;
  if (standing.kind === 'away' && missing > 0) {
    reasons.push(`${missing} entries have no certificate and the CA is away${because}`);
  }
  return reasons;
}
