/** All secrets that this agent holds, each once for all the connections that want it under one entry. */

import { type Closable, type Watch, WatchSource } from '../../core/index.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';
import { HeldSecret, type Held, type HeldSecretDeps } from './held-secret.ts';
import { noSecretHeads } from './secret-heads.ts';

/** One connection's hold on a secret. */
export interface Hold {
  readonly key: string;
  readonly value: Watch<Held>;
  release(): void;
}

export interface HeldSecrets extends Closable {
  /** Undefined if the agent holds too many already. */
  hold(entry: AgentEntry, name: string): Hold | undefined;
  keyOf(entry: AgentEntry, name: string): string;
  /** How many there are now. */
  size(): number;
  /** Grows whenever a value was replaced or let go. */
  readonly retired: Watch<number>;
}

export interface HeldSecretsDeps extends Omit<HeldSecretDeps, 'api' | 'onRetired'> {
  readonly api: Watch<NodeApi | undefined>;
  readonly state: Watch<CaState | undefined>;
}

export function createHeldSecrets(deps: HeldSecretsDeps): HeldSecrets {
  const { api, state, log } = deps;
  const slots = new Map<
    string,
    { readonly name: string; readonly held: HeldSecret; holds: number }
  >();
  const retired = new WatchSource(0);
  const headOf = (name: string): bigint =>
    (state.current()?.secretHeads ?? noSecretHeads).get(name)?.version ?? 0n;
  const stops = [
    state.subscribe(() => {
      for (const { name, held } of slots.values()) held.pushed(headOf(name));
    }),
    api.subscribe(() => {
      for (const { held } of slots.values()) held.reconnected();
    }),
  ];
  // A derived entry is another with other facts, and an entry of another revision may be another identity.
  const keyOf = ({ id, spiffeId, revision }: AgentEntry, name: string): string =>
    `${id} ${revision} ${spiffeId} ${name}`;
  return {
    keyOf,
    retired,
    size: () => slots.size,
    hold(entry, name) {
      const key = keyOf(entry, name);
      let slot = slots.get(key);
      if (slot === undefined) {
        if (slots.size >= heldMax) {
          log.warn('too many secrets are held already', { secret: name, held: slots.size });
          return undefined;
        }
        const held = new HeldSecret(entry, name, headOf(name), {
          ...deps,
          api: () => api.current(),
          onRetired: () => retired.set(retired.current() + 1),
        });
        slot = { name, held, holds: 0 };
        slots.set(key, slot);
      }
      const mine = slot;
      mine.holds += 1;
      let released = false;
      return {
        key,
        value: mine.held.value,
        release() {
          if (released) return;
          released = true;
          mine.holds -= 1;
          if (mine.holds > 0) return;
          slots.delete(key);
          mine.held.close();
        },
      };
    },
    async close() {
      for (const stop of stops) stop();
      for (const { held } of slots.values()) held.close();
      slots.clear();
    },
  };
}

// With the largest values of the CA half a gigabyte; with those that are usual, some megabytes.
const heldMax = 1024;
