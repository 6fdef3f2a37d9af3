/** Named secrets and session-ticket keys, opened: the store, what nodes are told, and what they may read. */

import { type Clock, type Closable, type Logger, type Random } from '../../core/index.ts';
import type { SpiffeId, TrustDomain } from '../../spiffe/index.ts';
import type { KeyStore } from '../authority/key-store.ts';
import type { Store } from '../store/store.ts';
import { openSecretHeads, type SecretHeads } from './secret-heads.ts';
import { openSecretSeal } from './sealed-values.ts';
import { createSecretStore, type SecretStore } from './secret-store.ts';
import { createTicketKeys, type TicketKeySource } from './ticket-keys.ts';

export interface Secrets extends Closable {
  readonly store: SecretStore;
  readonly tickets: TicketKeySource;
  readonly heads: SecretHeads;
}

/** Throws AuthorityError, SecretError or StoreError for what cannot be opened. */
export async function openSecrets(deps: {
  readonly store: Store;
  readonly keyStore: KeyStore;
  readonly trustDomain: TrustDomain;
  readonly ticketEpochMs: number;
  readonly whyBlocked: (id: SpiffeId) => string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}): Promise<Secrets> {
  const seal = await openSecretSeal(deps);
  const heads = await openSecretHeads(deps);
  return {
    store: createSecretStore({ ...deps, seal }),
    tickets: createTicketKeys({ ...deps, epochMs: deps.ticketEpochMs }),
    heads,
    close: () => heads.close(),
  };
}
