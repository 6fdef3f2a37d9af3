/** Tokens that are wanted at the same moment go to the CA in one call. */

import { retryHintOf } from '../../api/index.ts';
import { describeError } from '../../core/index.ts';
import { AgentError } from '../agent-error.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';

export type MintOutcome =
  | { readonly kind: 'minted'; readonly token: string }
  | { readonly kind: 'refused'; readonly error: AgentError };

interface Wanted {
  readonly entry: AgentEntry;
  readonly audience: readonly string[];
  readonly done: (outcome: MintOutcome) => void;
}

export class MintQueue {
  readonly #api: () => Pick<NodeApi, 'mintJwtSvids'> | undefined;
  #wanted: Wanted[] = [];

  constructor(api: () => Pick<NodeApi, 'mintJwtSvids'> | undefined) {
    this.#api = api;
  }

  /** Does not reject. */
  mint(entry: AgentEntry, audience: readonly string[]): Promise<MintOutcome> {
    return new Promise((done) => {
      this.#wanted.push({ entry, audience, done });
      if (this.#wanted.length === 1) queueMicrotask(() => void this.#sendAll());
    });
  }

  async #sendAll(): Promise<void> {
    const wanted = this.#wanted;
    this.#wanted = [];
    const batches: Wanted[][] = [];
    for (let at = 0; at < wanted.length; at += itemsMax) {
      batches.push(wanted.slice(at, at + itemsMax));
    }
    await Promise.all(batches.map((batch) => this.#send(batch)));
  }

  async #send(batch: readonly Wanted[]): Promise<void> {
    const outcomes = await this.#ask(batch);
    for (const [index, { done }] of batch.entries()) {
      done(outcomes[index] ?? unreachable('the CA gave no answer for it'));
    }
  }

  async #ask(batch: readonly Wanted[]): Promise<readonly MintOutcome[]> {
    const api = this.#api();
    if (api === undefined) return batch.map(() => unreachable('no CA was found yet'));
    try {
      const { items } = await api.mintJwtSvids({
        items: batch.map(({ entry, audience }) => ({
          entryId: entry.id,
          audience: [...audience],
          ttlMs: 0n,
          selectors: [...(entry.derivedFrom ?? [])],
        })),
      });
      return items.map(({ outcome }): MintOutcome => {
        if (outcome === undefined) return unreachable('the CA gave no answer for it');
        if (outcome.$case === 'minted') return { kind: 'minted', token: outcome.value.token };
        const { kind, code, detail } = outcome.value;
        return refusal(kind, `${code}: ${detail}`, retryHintOf(detail));
      });
    } catch (error) {
      return batch.map(() => unreachable(describeError(error), error));
    }
  }
}

/** E-5 knows four outcomes; whatever may be otherwise in a moment is `Unavailable`. */
function refusal(kind: string, detail: string, retryAfterMs: number | undefined): MintOutcome {
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  const status =
    kind === 'invalid_argument'
      ? 'invalid_argument'
      : kind === 'permission_denied' || kind === 'not_found'
        ? 'permission_denied'
        : 'unavailable';
  const code = status === 'unavailable' ? 'jwt_svid_unavailable' : 'jwt_svid_refused';
  return { kind: 'refused', error: new AgentError(code, status, detail, options) };
}

function unreachable(detail: string, cause?: unknown): MintOutcome {
  const message = `no token without the CA: ${detail}`;
  const options = cause === undefined ? {} : { cause };
  return {
    kind: 'refused',
    error: new AgentError('jwt_svid_unavailable', 'unavailable', message, options),
  };
}

// As many as the CA mints in one call.
const itemsMax = 256;
