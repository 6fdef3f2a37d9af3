/** The JWT keys at work: they rotate themselves, each step recorded and stored before it acts. */

import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import {
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Timer,
  toHex,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { generateKeyPair, keyIdOf, keySigner, type Signer, spkiOf } from '../../pki/index.ts';
import type { JwtAuthority } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import { AuthorityError } from './authority-error.ts';
import {
  activeJwtKey,
  dueJwtKeyStep,
  emptyJwtKeySet,
  type JwtKey,
  type JwtKeySet,
  type JwtKeyStep,
  withActivatedJwtKey,
  withJwtKey,
  withoutJwtKey,
  withPublishedJwtKey,
} from './jwt-key.ts';
import { formatJwtKeyRecord, type JwtKeyRecord, parseJwtKeyRecord } from './jwt-key-record.ts';
import type { KeyStore } from './key-store.ts';

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
  readonly sequence: bigint;
  /** The store's revision since which it is so. */
  readonly revision: number;
}

export interface RotatingJwtKeys extends JwtKeys, Closable {
  readonly published: Watch<PublishedJwtKeys>;
  list(): readonly JwtKey[];
}

export interface JwtKeysDeps {
  readonly store: Store;
  readonly keyStore: KeyStore;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a key lives, from its making. */
  readonly lifeMs: number;
  /** Whether the bundle with this key has reached enough of the nodes. */
  readonly hasArrived: (kid: string) => boolean;
}

/** Opens what the store holds, or begins a key, and catches up with what time made due. */
export async function openJwtKeys(deps: JwtKeysDeps): Promise<RotatingJwtKeys> {
  const item = await deps.store.get(recordKey);
  const record =
    item === undefined
      ? { set: emptyJwtKeySet, privateKeys: new Map<string, KeyObject>() }
      : parseJwtKeyRecord(item.value, deps.keyStore);
  const working = new WorkingJwtKeys(deps, record, item?.modRevision ?? 0);
  await working.catchUp();
  return working;
}

class WorkingJwtKeys implements RotatingJwtKeys {
  readonly published: WatchSource<PublishedJwtKeys>;
  readonly #deps: JwtKeysDeps;
  #record: JwtKeyRecord;
  #revision: number;
  #current: CurrentJwtKey | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(deps: JwtKeysDeps, record: JwtKeyRecord, revision: number) {
    this.#deps = deps;
    this.#record = record;
    this.#revision = revision;
    this.#current = this.#signing();
    this.published = new WatchSource(publishedOf(record.set, revision));
  }

  current(): CurrentJwtKey {
    const current = this.#current;
    if (current !== undefined && current.notAfterMs > this.#deps.clock.wallMs()) return current;
    throw new AuthorityError('authority_ended', 'the key that signs JWT-SVIDs has ended');
  }

  list(): readonly JwtKey[] {
    return this.#record.set.keys;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async catchUp(): Promise<void> {
    const { clock, hasArrived } = this.#deps;
    const due = (): JwtKeyStep | undefined =>
      dueJwtKeyStep(this.#record.set, clock.wallMs(), hasArrived);
    for (let step = due(); step !== undefined && !this.#closed; step = due()) {
      await this.#take(step);
    }
    this.#schedule(lookMs);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    const { clock, log } = this.#deps;
    this.#timer?.cancel();
    this.#timer = clock.after(delayMs, () => {
      this.#running = this.catchUp().catch((error: unknown) => {
        log.error('rotation of JWT keys failed and is tried again', {
          reason: describeError(error),
        });
        this.#schedule(retryMs);
      });
    });
  }

  async #take(step: JwtKeyStep): Promise<void> {
    const nowMs = this.#deps.clock.wallMs();
    const { set, privateKeys } = this.#record;
    if (step.kind === 'begin' || step.kind === 'prepare') {
      const { key, privateKey } = mint(nowMs, this.#deps.lifeMs, step.kind === 'begin');
      await this.#audit('jwt_key.prepared', key);
      if (step.kind === 'begin') await this.#audit('jwt_key.activated', key);
      const keys = new Map(privateKeys).set(key.id, privateKey);
      await this.#store({ set: withJwtKey(set, key), privateKeys: keys });
      return;
    }
    const { id } = step;
    const key = set.keys.find((each) => each.id === id);
    if (key !== undefined) await this.#audit(auditTypes[step.kind], key);
    if (step.kind === 'publish') {
      await this.#store({ set: withPublishedJwtKey(set, id, nowMs), privateKeys });
    } else if (step.kind === 'activate') {
      await this.#store({ set: withActivatedJwtKey(set, id, nowMs), privateKeys });
    } else {
      const kept = new Map([...privateKeys].filter(([each]) => each !== id));
      await this.#store({ set: withoutJwtKey(set, id), privateKeys: kept });
    }
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

  async #audit(type: (typeof auditTypes)[keyof typeof auditTypes], key: JwtKey): Promise<void> {
    const authority = {
      keyId: key.id,
      spkiSha256: hash('sha256', spkiOf(key.publicKey), 'hex'),
      notBefore: new Date(key.preparedAtMs).toISOString(),
      notAfter: new Date(key.notAfterMs).toISOString(),
    };
    await this.#deps.audit.append({ actor: { kind: 'system', id: 'ca' }, type, authority });
  }
}

function mint(
  nowMs: number,
  lifeMs: number,
  signsAtOnce: boolean,
): { readonly key: JwtKey; readonly privateKey: KeyObject } {
  const { privateKey } = generateKeyPair('ec-p256');
  const publicKey = createPublicKey(privateKey);
  const key: JwtKey = {
    id: toHex(keyIdOf(publicKey)),
    state: signsAtOnce ? 'active' : 'prepared',
    publicKey,
    preparedAtMs: nowMs,
    ...(signsAtOnce ? { activatedAtMs: nowMs } : {}),
    notAfterMs: nowMs + lifeMs,
  };
  return { key, privateKey };
}

function publishedOf({ keys, sequence }: JwtKeySet, revision: number): PublishedJwtKeys {
  const authorities = keys.map(({ id, publicKey }) => ({ keyId: id, publicKey }));
  return { authorities, sequence, revision };
}

const auditTypes = {
  prepare: 'jwt_key.prepared',
  publish: 'jwt_key.published',
  activate: 'jwt_key.activated',
  retire: 'jwt_key.retired',
} as const;
const recordKey = storeKeys.setting('jwt-keys');
// Evidence comes in at any time, and wall time may jump; a look costs nothing.
const lookMs = 1000;
const retryMs = 5000;
