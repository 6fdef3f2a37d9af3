/**
 * JWT-SVIDs for the workloads of this node: asked for on demand, kept by entry and audience, replaced from
 * half of their life on. One question is under way for one token, however many callers wait for it.
 */

import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  type Watch,
} from '../../core/index.ts';
import { AgentError } from '../agent-error.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';
import { cappedWaitMs, renewAtMs } from '../renewal-time.ts';
import { checkToken, type CheckedToken } from './check-token.ts';
import { MintQueue } from './mint-queue.ts';

export interface JwtSvid {
  readonly kind: 'issued';
  readonly entry: AgentEntry;
  /** JWS compact serialization: a secret of its bearer. */
  readonly token: string;
}

export type JwtSvidOutcome = JwtSvid | { readonly kind: 'refused'; readonly error: AgentError };

export interface JwtSvids extends Closable {
  /** One outcome per entry, in order; one that is refused harms no other. `audience` counts as a set. */
  fetch(
    entries: readonly AgentEntry[],
    audience: readonly string[],
  ): Promise<readonly JwtSvidOutcome[]>;
}

export interface JwtSvidsDeps {
  /** Undefined while no CA has been found yet. */
  readonly api: () => Pick<NodeApi, 'mintJwtSvids'> | undefined;
  /** With the entries that workloads derive. */
  readonly state: Watch<CaState | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits?: TokenLimits;
}

export interface TokenLimits {
  readonly heldMax: number;
  readonly underWayMax: number;
}

export function createJwtSvids(deps: JwtSvidsDeps): JwtSvids {
  return new HeldTokens(deps, deps.limits ?? usualLimits);
}

interface Held extends JwtSvid, CheckedToken {
  readonly renewAtMs: number;
}

type Outcome = Held | { readonly kind: 'refused'; readonly error: AgentError };

class HeldTokens implements JwtSvids {
  readonly #deps: JwtSvidsDeps;
  readonly #limits: TokenLimits;
  readonly #queue: MintQueue;
  readonly #stop: () => void;
  /** Least recently used first. */
  readonly #held = new Map<string, Held>();
  readonly #underWay = new Map<string, Promise<Outcome>>();

  constructor(deps: JwtSvidsDeps, limits: TokenLimits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#queue = new MintQueue(deps.api);
    this.#stop = deps.state.subscribe((state) => this.#dropAll(state));
  }

  async fetch(
    entries: readonly AgentEntry[],
    audience: readonly string[],
  ): Promise<readonly JwtSvidOutcome[]> {
    const set = [...new Set(audience)].toSorted();
    return Promise.all(entries.map((entry) => this.#one(entry, set)));
  }

  async close(): Promise<void> {
    this.#stop();
    this.#held.clear();
  }

  async #one(entry: AgentEntry, audience: readonly string[]): Promise<JwtSvidOutcome> {
    const { clock } = this.#deps;
    const key = JSON.stringify([entry.id, String(entry.revision), entry.spiffeId, audience]);
    const held = this.#goodToken(key);
    if (held !== undefined && clock.wallMs() < held.renewAtMs) return held;
    const minting = this.#mintOnce(key, entry, audience);
    if (held === undefined) return minting;
    // A better token is on its way; the caller does not wait long for it while this one is good.
    const fresh = await Promise.race([minting, this.#patience()]);
    if (fresh?.kind === 'issued') return fresh;
    if (fresh !== undefined && isFinal(fresh.error)) return fresh;
    return this.#goodToken(key) ?? minting;
  }

  /** What may be handed out now, and is thereby the most recently used. */
  #goodToken(key: string): Held | undefined {
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    this.#held.delete(key);
    if (!isGood(held, this.#deps.state.current(), this.#deps.clock.wallMs())) return undefined;
    this.#held.set(key, held);
    return held;
  }

  #mintOnce(key: string, entry: AgentEntry, audience: readonly string[]): Promise<Outcome> {
    const known = this.#underWay.get(key);
    if (known !== undefined) return known;
    // E-5: shedding; the client comes back.
    if (this.#underWay.size >= this.#limits.underWayMax) {
      return Promise.resolve(
        unavailable(`${this.#underWay.size} tokens are being asked for already`),
      );
    }
    const minting = this.#mint(key, entry, audience).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, minting);
    return minting;
  }

  async #mint(key: string, entry: AgentEntry, audience: readonly string[]): Promise<Outcome> {
    const { clock, random, log, state } = this.#deps;
    const outcome = await this.#queue.mint(entry, audience);
    const atMs = clock.wallMs();
    if (outcome.kind === 'refused') {
      log.warn('no JWT-SVID', { spiffeId: entry.spiffeId, reason: describeError(outcome.error) });
      if (isFinal(outcome.error)) this.#held.delete(key);
      else this.#postpone(key, atMs);
      return outcome;
    }
    const now = state.current();
    const checked = checkToken({ token: outcome.token, entry, audience, state: now, atMs });
    if (checked.kind === 'refused') {
      log.error('a JWT-SVID of the CA is not good', {
        spiffeId: entry.spiffeId,
        reason: checked.detail,
      });
      return unavailable(`the CA's token for ${entry.spiffeId} is not good: ${checked.detail}`);
    }
    const { token } = outcome;
    const held: Held = {
      ...checked,
      kind: 'issued',
      entry,
      token,
      renewAtMs: renewAtMs(atMs, checked.expiresAtMs, random),
    };
    this.#held.delete(key);
    this.#held.set(key, held);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= this.#limits.heldMax) break;
      this.#held.delete(oldest);
    }
    return held;
  }

  /** Those who ask meanwhile get the old token at once, not a wait for a CA that is away. */
  #postpone(key: string, atMs: number): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    const waitMs = cappedWaitMs(retryMs, held.expiresAtMs - atMs);
    this.#held.set(key, { ...held, renewAtMs: atMs + waitMs });
  }

  #patience(): Promise<undefined> {
    return new Promise((resolve) => {
      this.#deps.clock.after(patienceMs, () => resolve(undefined));
    });
  }

  /** At once, not when it is next asked for: a bearer token that nobody may use is only a risk. */
  #dropAll(state: CaState | undefined): void {
    const atMs = this.#deps.clock.wallMs();
    const revisions = new Map(state?.entries.map(({ id, revision }) => [id, revision] as const));
    for (const [key, held] of this.#held) {
      const isGranted = revisions.get(held.entry.id) === held.entry.revision;
      if (!isGranted || !isGood(held, state, atMs)) this.#held.delete(key);
    }
  }
}

/** The key that signed it must be one that the trust domain's bundle has, and that is not called tainted. */
function isGood({ keyId, expiresAtMs }: CheckedToken, state: CaState | undefined, atMs: number) {
  if (expiresAtMs - atMs < leftMsMin || state === undefined) return false;
  if (state.taintedKeyIds?.has(keyId) === true) return false;
  const own = state.bundles.get(state.trustDomain);
  return own?.jwtAuthorities.some((authority) => authority.keyId === keyId) ?? false;
}

/** The CA was asked and said no: a token from before is not to be handed out either. */
function isFinal({ kind }: AgentError): boolean {
  return kind === 'permission_denied' || kind === 'invalid_argument';
}

function unavailable(detail: string): Outcome {
  return { kind: 'refused', error: new AgentError('jwt_svid_unavailable', 'unavailable', detail) };
}

// As many as SPIRE's agent keeps; a token is a kilobyte.
const usualLimits: TokenLimits = { heldMax: 1000, underWayMax: 1000 };
// What ends within it would be refused where it is going.
const leftMsMin = 1000;
// A CA that is well answers in a tenth of it.
const patienceMs = 500;
const retryMs = 5000;
