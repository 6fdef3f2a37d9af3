/** The JWT keys at work: they rotate themselves, each step recorded and stored before it acts. */

import { hash, type KeyObject } from 'node:crypto';
import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { keySigner, type Signer, spkiOf } from '../../pki/index.ts';
import type { JwtAuthority } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor, AuditedAuthority } from '../audit/event.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import { AuthorityError } from './authority-error.ts';
import { type ClockJudgement, type ClockTrust, unquestionedClock } from './clock-trust.ts';
import { systemActor } from './authority-step.ts';
import { auditedEvidence, hasArrived, type Propagation } from './evidence.ts';
import {
  activeJwtKey,
  type DueJwtKeyStep,
  dueJwtKeyStep,
  emptyJwtKeySet,
  type JwtKey,
  type JwtKeySet,
  waitingJwtKey,
  withChangedJwtKey,
} from './jwt-key.ts';
import { formatJwtKeyRecord, type JwtKeyRecord, parseJwtKeyRecord } from './jwt-key-record.ts';
import {
  abortJwtKey,
  activateJwtKey,
  dueJwtKeyStepOf,
  type JwtKeyChange,
  type JwtKeyStep,
  prepareJwtKey,
  retireJwtKey,
  revokeJwtKey,
  taintJwtKey,
} from './jwt-key-step.ts';
import type { KeyStore } from './key-store.ts';
import { isOverdue, OverdueAlarm } from './overdue.ts';
import type { RotationPolicy } from './rotation-policy.ts';

/** The key that signs JWT-SVIDs now. */
export interface CurrentJwtKey {
  readonly kid: string;
  /** ES256; it gives the DER form of a signature, which JWS does not carry (RFC 7518 §3.4). */
  readonly signer: Signer;
  /** No token may live longer than this: with it the key leaves the bundle. */
  readonly notAfterMs: number;
}

/** What a minter of JWT-SVIDs needs of the keys. */
export interface JwtKeys {
  /** Throws {@link AuthorityError} `authority_ended`. */
  current(): CurrentJwtKey;
}

/** The keys that belong into the bundle. */
export interface PublishedJwtKeys {
  readonly authorities: readonly JwtAuthority[];
  /** Key ids of the tainted ones: a token under them is to be made anew. */
  readonly taintedIds: readonly string[];
  readonly sequence: bigint;
  /** The store's revision since which it is so. */
  readonly revision: number;
}

/** Each step throws {@link AuthorityError} with the reason why it may not be taken. */
export interface RotatingJwtKeys extends JwtKeys, Closable {
  readonly published: Watch<PublishedJwtKeys>;
  list(): readonly JwtKey[];
  /** How far the bundle with this key has got. */
  propagationOf(id: string): Propagation;
  /** The key that waits for the nodes past the deadline of the policy. */
  overdue(): JwtKey | undefined;
  /** A new key, in the bundle at once. */
  prepare(actor: Actor): Promise<JwtKey>;
  activate(actor: Actor, id: string, force: boolean): Promise<JwtKey>;
  retire(actor: Actor, id: string, force: boolean): Promise<JwtKey>;
  abort(actor: Actor, id: string): Promise<JwtKey>;
  /** It signs nothing from now on; another one does as soon as the nodes have it. */
  taint(actor: Actor, id: string): Promise<JwtKey>;
  revoke(actor: Actor, id: string, force: boolean): Promise<JwtKey>;
}

export interface JwtKeysDeps {
  readonly store: Store;
  readonly keyStore: KeyStore;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
  /** How far the time may be relied on; absent: wholly. */
  readonly clockJudgement?: ClockJudgement;
  /** How long a key lives, from its making. */
  readonly lifeMs: number;
  /** How long a token lives at most. */
  readonly tokenMs: number;
  readonly policy: RotationPolicy;
  /** How far the bundle with this key has got among the nodes. */
  readonly propagationOf: (kid: string) => Propagation;
}

/** Opens what the store holds, or begins a key, and catches up with what time made due. */
export async function openJwtKeys(deps: JwtKeysDeps): Promise<RotatingJwtKeys> {
  const item = await deps.store.get(recordKey);
  const record =
    item === undefined
      ? { set: emptyJwtKeySet, privateKeys: new Map<string, KeyObject>() }
      : parseJwtKeyRecord(item.value, deps.keyStore);
  const working = new WorkingJwtKeys(deps, record, item?.modRevision ?? 0);
  await working.allowTokens();
  await working.catchUp();
  return working;
}

class WorkingJwtKeys implements RotatingJwtKeys {
  readonly published: WatchSource<PublishedJwtKeys>;
  readonly #deps: JwtKeysDeps;
  readonly #alarm: OverdueAlarm;
  #record: JwtKeyRecord;
  #revision: number;
  #current: CurrentJwtKey | undefined;
  #timer: Timer | undefined;
  #steps: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(deps: JwtKeysDeps, record: JwtKeyRecord, revision: number) {
    this.#deps = deps;
    this.#alarm = new OverdueAlarm(deps.log, deps.policy);
    this.#record = record;
    this.#revision = revision;
    this.#current = this.#signing();
    this.published = new WatchSource(publishedOf(record.set, revision));
  }

  current(): CurrentJwtKey {
    const current = this.#current;
    if (current !== undefined && current.notAfterMs > this.#deps.clock.wallMs()) return current;
    const waiting = waitingJwtKey(this.#record.set);
    throw new AuthorityError(
      'authority_ended',
      waiting === undefined
        ? 'the key that signs JWT-SVIDs has ended'
        : `no key signs JWT-SVIDs: ${waiting.id} does as soon as the nodes have it`,
    );
  }

  list(): readonly JwtKey[] {
    return this.#record.set.keys;
  }

  propagationOf(id: string): Propagation {
    return this.#deps.propagationOf(id);
  }

  overdue(): JwtKey | undefined {
    const { clock, clockJudgement, policy } = this.#deps;
    const waiting = waitingJwtKey(this.#record.set);
    if (waiting?.state !== 'prepared' || clockJudgement?.doubt('settled') !== undefined) {
      return undefined;
    }
    return isOverdue(waiting, clock.wallMs(), policy) ? waiting : undefined;
  }

  async prepare(actor: Actor): Promise<JwtKey> {
    this.#checkClock('doubtful');
    return this.#ask(actor, prepareJwtKey);
  }

  async activate(actor: Actor, id: string, force: boolean): Promise<JwtKey> {
    this.#checkClock(force ? 'doubtful' : 'settled');
    return this.#ask(actor, activateJwtKey(id, force));
  }

  async retire(actor: Actor, id: string, force: boolean): Promise<JwtKey> {
    if (!force) this.#checkClock('sure');
    return this.#ask(actor, retireJwtKey(id, force));
  }

  abort(actor: Actor, id: string): Promise<JwtKey> {
    return this.#ask(actor, abortJwtKey(id));
  }

  taint(actor: Actor, id: string): Promise<JwtKey> {
    return this.#ask(actor, taintJwtKey(id));
  }

  async revoke(actor: Actor, id: string, force: boolean): Promise<JwtKey> {
    if (!force) this.#checkClock('sure');
    return this.#ask(actor, revokeJwtKey(id, force));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#steps;
  }

  /** Tokens may have become longer with this start: that is stored before the first is signed. */
  async allowTokens(): Promise<void> {
    const { set, privateKeys } = this.#record;
    const active = activeJwtKey(set);
    const { tokenMs } = this.#deps;
    if (active === undefined || (active.tokenMsMax ?? tokenMs) >= tokenMs) return;
    const next = withChangedJwtKey(set, active.id, { tokenMsMax: tokenMs });
    await this.#store({ set: next, privateKeys });
  }

  async catchUp(): Promise<void> {
    const { clock, policy, propagationOf, clockJudgement = unquestionedClock } = this.#deps;
    const arrived = (id: string): boolean => hasArrived(propagationOf(id), policy.threshold);
    const due = (): DueJwtKeyStep | undefined =>
      dueJwtKeyStep(
        this.#record.set,
        clock.wallMs(),
        arrived,
        policy.automatic,
        clockJudgement.trust(),
      );
    await this.#exclusive(async () => {
      for (let step = due(); step !== undefined && !this.#closed; step = due()) {
        await this.#take(systemActor, dueJwtKeyStepOf(step));
      }
    });
    this.#alarm.look(this.overdue(), propagationOf);
    this.#schedule(lookMs);
  }

  /** Throws the clock's fault unless it may be relied on so far. */
  #checkClock(wanted: Exclude<ClockTrust, 'wrong'>): void {
    const doubt = this.#deps.clockJudgement?.doubt(wanted);
    if (doubt !== undefined) throw doubt;
  }

  async #ask(actor: Actor, step: JwtKeyStep): Promise<JwtKey> {
    const key = await this.#exclusive(() => this.#take(actor, step));
    // What it made due is not waited for: another key may sign at once.
    this.#schedule(0);
    return key;
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    const { clock, log } = this.#deps;
    this.#timer?.cancel();
    this.#timer = clock.after(delayMs, () => {
      this.catchUp().catch((error: unknown) => {
        log.error('rotation of JWT keys failed and is tried again', {
          reason: describeError(error),
        });
        this.#schedule(retryMs);
      });
    });
  }

  async #take(actor: Actor, step: JwtKeyStep): Promise<JwtKey> {
    const { clock, lifeMs, tokenMs, policy, propagationOf } = this.#deps;
    const { set, privateKeys } = this.#record;
    const nowMs = clock.wallMs();
    const { threshold } = policy;
    const change = step({ set, nowMs, lifeMs, tokenMs, threshold, propagationOf });
    const kept = new Set(change.next.keys.map(({ id }) => id));
    const keys = [...privateKeys, ...(change.made ?? [])].filter(([id]) => kept.has(id));
    try {
      this.#holdTo(change.next);
      for (const act of change.acts) await this.#audit(actor, act);
      await this.#store({ set: change.next, privateKeys: new Map(keys) });
    } finally {
      this.#current = this.#signing();
    }
    return change.key;
  }

  /**
   * A key that is about to stop signing is stored with the end of its last token: what is minted while
   * that is being written must not outlive it.
   */
  #holdTo({ keys }: JwtKeySet): void {
    const current = this.#current;
    if (current === undefined) return;
    const endMs = keys.find(({ id }) => id === current.kid)?.lastTokenNotAfterMs;
    if (endMs === undefined) return;
    this.#current = { ...current, notAfterMs: Math.min(current.notAfterMs, endMs) };
  }

  /** Durable first; only then does anybody see it or sign with it. */
  async #store(record: JwtKeyRecord): Promise<void> {
    const { store, keyStore, log } = this.#deps;
    const result = await store.commit({
      compare: [{ key: recordKey, modRevision: this.#revision }],
      puts: [{ key: recordKey, value: formatJwtKeyRecord(record, keyStore) }],
    });
    if (result.kind === 'conflict') {
      // What the other one wrote is what counts; the next look judges it anew.
      const item = await store.get(recordKey);
      if (item !== undefined) {
        this.#record = parseJwtKeyRecord(item.value, keyStore);
        this.#revision = item.modRevision;
      }
      throw new AuthorityError('authority_conflict', 'the JWT keys were changed by another CA');
    }
    this.#record = record;
    this.#revision = result.revision;
    this.#current = this.#signing();
    log.info('JWT keys changed', {
      signing: this.#current?.kid ?? '',
      keys: record.set.keys.map(({ id, state }) => `${id} ${state}`).join(', '),
    });
    this.published.set(publishedOf(record.set, result.revision));
  }

  #signing(): CurrentJwtKey | undefined {
    const key = activeJwtKey(this.#record.set);
    const privateKey = key === undefined ? undefined : this.#record.privateKeys.get(key.id);
    if (key === undefined || privateKey === undefined) return undefined;
    return { kid: key.id, signer: keySigner(privateKey), notAfterMs: key.notAfterMs };
  }

  async #audit(
    actor: Actor,
    { act, key, forced = false, evidence }: JwtKeyChange['acts'][number],
  ): Promise<void> {
    const { audit, policy } = this.#deps;
    await audit.append({
      actor,
      type: `jwt_key.${act}`,
      authority: auditedKey(key),
      ...(forced ? { forced } : {}),
      ...(evidence === undefined ? {} : { evidence: auditedEvidence(evidence, policy.threshold) }),
      ...(key.lastTokenNotAfterMs === undefined
        ? {}
        : { lastLeafNotAfter: new Date(key.lastTokenNotAfterMs).toISOString() }),
    });
  }

  #exclusive<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#steps.then(step);
    // The next step runs whatever became of this one; its caller gets the failure.
    this.#steps = result.catch(() => undefined);
    return result;
  }
}

function auditedKey(key: JwtKey): AuditedAuthority {
  return {
    keyId: key.id,
    spkiSha256: hash('sha256', spkiOf(key.publicKey), 'hex'),
    notBefore: new Date(key.preparedAtMs).toISOString(),
    notAfter: new Date(key.notAfterMs).toISOString(),
  };
}

function publishedOf({ keys, sequence }: JwtKeySet, revision: number): PublishedJwtKeys {
  return {
    authorities: keys.map(({ id, publicKey }) => ({ keyId: id, publicKey })),
    taintedIds: keys.flatMap(({ id, taintedAtMs }) => (taintedAtMs === undefined ? [] : [id])),
    sequence,
    revision,
  };
}

const recordKey = storeKeys.setting('jwt-keys');
// Evidence comes in at any time, and wall time may jump; a look costs nothing.
const lookMs = 500;
const retryMs = 5000;
