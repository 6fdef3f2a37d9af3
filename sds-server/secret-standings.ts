/** Since when each secret of a stream stands as it does: what the machines, which know no time, do not say. */

import type { SecretStanding } from './sds-clients.ts';
import type { StandingNow } from './subscription-step.ts';

export class SecretStandings {
  #standings: readonly SecretStanding[] = [];

  current(): readonly SecretStanding[] {
    return this.#standings;
  }

  /** `error` is what the client just said of what it refused. True if anything reads differently now. */
  update(now: readonly StandingNow[], error: string | undefined, nowMs: number): boolean {
    const before = this.#standings;
    const after = now.map(({ name, secret, state }, index): SecretStanding => {
      const known =
        before[index]?.name === name ? before[index] : before.find((one) => one.name === name);
      if (known?.version === secret.version && known.state === state) return known;
      return {
        name,
        version: secret.version,
        state,
        ...(state === 'refused' && error !== undefined ? { error } : {}),
        sinceMs: nowMs,
        authorityKeyIds: secret.authorityKeyIds,
      };
    });
    const same =
      before.length === after.length && after.every((one, index) => one === before[index]);
    if (!same) this.#standings = after;
    return !same;
  }
}
