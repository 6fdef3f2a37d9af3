/**
 * One secret of one entry, held in memory: read from the CA while somebody wants it, read again when there
 * is a new version or new keys, and overwritten with zeros when it is let go. While the CA is away, the last
 * good one stays.
 */

import {
  backoffMs,
  type Clock,
  describeError,
  type Logger,
  type Random,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { RpcError } from '../../rpc/index.ts';
import type { NamedSecret, TicketKeys } from '../../sds-server/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';

export type Held =
  | { readonly kind: 'pending' }
  /** The CA was asked, and says that this identity may not have it. */
  | { readonly kind: 'denied' }
  | { readonly kind: 'named'; readonly secret: NamedSecret }
  | { readonly kind: 'ticket_keys'; readonly ticketKeys: TicketKeys };

export type SecretApi = Pick<NodeApi, 'readSecret' | 'sessionTicketKeys'>;

export interface HeldSecretDeps {
  /** Undefined while the node is not attested. */
  readonly api: () => SecretApi | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A value was replaced or let go: what others made of it is to leave the memory too. */
  readonly onRetired?: () => void;
}

interface Read {
  readonly held: Held;
  /** When to read again although nothing was pushed. */
  readonly againAtMs?: number;
}

export class HeldSecret {
  readonly #deps: HeldSecretDeps;
  readonly #entry: AgentEntry;
  readonly #name: string;
  readonly #value = new WatchSource<Held>({ kind: 'pending' });
  /** The version that was pushed when it was last read; ticket keys have none. */
  #readFor: bigint | undefined;
  #head: bigint;
  #failures = 0;
  #reading = false;
  #again: Timer | undefined;
  #closed = false;

  /** `head` is the pushed version; of ticket keys, which are named {@link ticketKeysName}, 0. */
  constructor(entry: AgentEntry, name: string, head: bigint, deps: HeldSecretDeps) {
    this.#deps = deps;
    this.#entry = entry;
    this.#name = name;
    this.#head = head;
    void this.#read();
  }

  get value(): Watch<Held> {
    return this.#value;
  }

  /** What the CA pushed last. */
  pushed(head: bigint): void {
    this.#head = head;
    if (this.#readFor !== head && !this.#reading) void this.#read();
  }

  /** The CA can be reached by another connection: what failed is tried at once. */
  reconnected(): void {
    if (this.#failures > 0 && !this.#reading) void this.#read();
  }

  /** Nobody wants it any more. */
  close(): void {
    this.#closed = true;
    this.#again?.cancel();
    this.#retire(this.#value.current());
  }

  async #read(): Promise<void> {
    this.#again?.cancel();
    this.#reading = true;
    const head = this.#head;
    try {
      const { held, againAtMs } = await this.#ask();
      if (this.#closed) {
        wipe(held);
        return;
      }
      this.#failures = 0;
      this.#readFor = head;
      this.#replace(held);
      if (againAtMs !== undefined) this.#readAgainAt(againAtMs);
    } catch (error) {
      if (!this.#closed) this.#failed(error);
    } finally {
      this.#reading = false;
    }
    // Pushed while it was being read: what came may be the one before.
    if (!this.#closed && this.#failures === 0 && this.#head !== head) void this.#read();
  }

  async #ask(): Promise<Read> {
    const api = this.#deps.api();
    if (api === undefined) throw new RpcError('unavailable', 'ca_unreachable', 'not attested yet');
    const { id: entryId, derivedFrom = [] } = this.#entry;
    const selectors = [...derivedFrom];
    try {
      if (this.#name === ticketKeysName) {
        const { keys, refreshAtMs } = await api.sessionTicketKeys({ entryId, selectors });
        const ticketKeys = { keys: keys.map(taken) };
        return { held: { kind: 'ticket_keys', ticketKeys }, againAtMs: Number(refreshAtMs) };
      }
      const request = { entryId, name: this.#name, version: 0n, selectors };
      const { version, values } = await api.readSecret(request);
      const copies = Object.entries(values).map(([name, value]) => [name, taken(value)] as const);
      const secret = { name: this.#name, version, values: new Map(copies) };
      return { held: { kind: 'named', secret } };
    } catch (error) {
      if (!(error instanceof RpcError) || !finalKinds.has(error.kind)) throw error;
      this.#deps.log.warn('a secret is withheld by the CA', {
        secret: this.#name,
        spiffeId: this.#entry.spiffeId,
        reason: error.message,
      });
      // Another rule is no other version, so nothing may be pushed that tells of it.
      return { held: { kind: 'denied' }, againAtMs: this.#deps.clock.wallMs() + deniedMs };
    }
  }

  #replace(next: Held): void {
    const before = this.#value.current();
    if (before.kind === next.kind && next.kind === 'denied') return;
    try {
      this.#value.set(next);
    } catch (error) {
      // One reader's fault: the others have it, and it is not read again for that.
      this.#deps.log.error('a reader of secrets failed', { reason: describeError(error) });
    }
    // After the readers have the next one: until then they may still encode this.
    this.#retire(before);
  }

  #retire(held: Held): void {
    wipe(held);
    if (held.kind === 'named' || held.kind === 'ticket_keys') this.#deps.onRetired?.();
  }

  #failed(error: unknown): void {
    const { clock, random, log } = this.#deps;
    const waitMs = Math.max(
      backoffMs(backoff, this.#failures, random),
      error instanceof RpcError ? (error.retryAfterMs ?? 0) : 0,
    );
    this.#failures += 1;
    log[this.#failures === 1 ? 'warn' : 'debug'](
      'a secret could not be read; what is at hand stays',
      {
        secret: this.#name,
        spiffeId: this.#entry.spiffeId,
        reason: describeError(error),
        retryInMs: Math.round(waitMs),
      },
    );
    this.#again = clock.after(waitMs, () => void this.#read());
  }

  /** Not all agents in the same moment. */
  #readAgainAt(atMs: number): void {
    const { clock, random } = this.#deps;
    const dueInMs = Math.max(0, atMs - clock.wallMs());
    const smearMs = Math.min(smearMsMax, dueInMs * smearShare) * random.fraction();
    const waitMs = Math.max(refreshMsMin, Math.min(dueInMs + smearMs, timerMsMax));
    this.#again = clock.after(waitMs, () => void this.#read());
  }
}

/** A copy that is ours alone, and zeros in the place of what came over the wire. */
function taken(value: Buffer): Uint8Array {
  const copy = new Uint8Array(value);
  value.fill(0);
  return copy;
}

function wipe(held: Held): void {
  if (held.kind === 'named') for (const value of held.secret.values.values()) value.fill(0);
  if (held.kind === 'ticket_keys') for (const key of held.ticketKeys.keys) key.fill(0);
}

export const ticketKeysName = 'session-ticket-keys';
const finalKinds: ReadonlySet<string> = new Set([
  'permission_denied',
  'not_found',
  'invalid_argument',
]);
const backoff = { baseMs: 200, maxMs: 30_000 };
// Each time is a record in the audit log.
const deniedMs = 5 * 60_000;
// Late by so much, a sidecar seals with the key before, which all others open.
const smearMsMax = 5 * 60_000;
const smearShare = 0.05;
// A CA whose clock is behind this machine's names a time that is over; it is not to be asked in a loop.
const refreshMsMin = 500;
// A timer of Node's holds 2^31 ms; a day is looked at again sooner.
const timerMsMax = 24 * 3_600_000;
