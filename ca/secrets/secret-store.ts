/**
 * Named secrets at rest. A head (name, rule, versions) is in clear, the values of each version are sealed;
 * both are written in one commit.
 */

import type { Clock } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import type { Compare, Put, Store, StoreItem } from '../store/store.ts';
import {
  checkSecretName,
  checkSecretValues,
  type NamedSecret,
  newestOf,
  parseAllow,
  type SecretValues,
  type SecretVersion,
} from './named-secret.ts';
import type { SecretSeal } from './sealed-values.ts';
import { SecretError } from './secret-error.ts';
import {
  decodeSecret,
  decodeSecretsRecord,
  encodeSecret,
  encodeSecretsRecord,
  type SecretsRecord,
  secretsRecordKey,
} from './secret-record.ts';

export interface PutSecret {
  readonly name: string;
  /** Absent: as before; a new secret must have one. */
  readonly allow?: readonly string[] | undefined;
  /** Absent: only the rule changes, and the version stays. */
  readonly values?: SecretValues | undefined;
  readonly by: string;
}

/** Every method throws {@link SecretError}, or StoreError. */
export interface SecretStore {
  /** `record` is told what is about to stand and must be durable before it does. */
  put(p: PutSecret, record: (secret: NamedSecret) => Promise<void>): Promise<NamedSecret>;
  get(name: string): Promise<NamedSecret | undefined>;
  list(p: { readonly after?: string | undefined; readonly limit: number }): Promise<{
    readonly secrets: readonly NamedSecret[];
    readonly next?: string;
  }>;
  /** As `put`: the record before the act. */
  delete(name: string, record: (secret: NamedSecret) => Promise<void>): Promise<NamedSecret>;
  /** The values of one version; the caller's to zero. */
  open(secret: NamedSecret, version: number): Promise<SecretValues>;
}

export interface SecretStoreDeps {
  readonly store: Pick<Store, 'get' | 'commit' | 'range'>;
  readonly seal: SecretSeal;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

export function createSecretStore(deps: SecretStoreDeps): SecretStore {
  const { store, seal } = deps;
  const headOf = (name: string) => store.get(storeKeys.secret(name));
  return {
    put: async (p, record) => {
      checkSecretName(p.name);
      if (p.values !== undefined) checkSecretValues(p.values);
      const allow = p.allow === undefined ? undefined : parseAllow(p.allow, deps.trustDomain);
      return untilSettled(p.name, async () => {
        const item = await headOf(p.name);
        const all = await allOf(store);
        const secret = next(item, all.record, { ...p, allow }, deps.clock.wallMs());
        await record(secret);
        const compare: Compare[] = [
          { key: storeKeys.secret(p.name), modRevision: item?.modRevision ?? 0 },
        ];
        const puts: Put[] = [{ key: storeKeys.secret(p.name), value: encodeSecret(secret) }];
        if (item === undefined) {
          compare.push({ key: secretsRecordKey, modRevision: all.modRevision });
          const { count, highVersion } = all.record;
          puts.push({
            key: secretsRecordKey,
            value: encodeSecretsRecord({ count: count + 1, highVersion }),
          });
        }
        if (p.values !== undefined) {
          const { version } = newestOf(secret);
          const value = seal.sealValues(p.name, version, p.values);
          puts.push({ key: storeKeys.secretValues(p.name, version), value });
        }
        const kept = new Set(secret.versions.map(({ version }) => version));
        const before = item === undefined ? [] : decodeSecret(item).versions;
        const deletes = before
          .filter(({ version }) => !kept.has(version))
          .map(({ version }) => storeKeys.secretValues(p.name, version));
        const result = await store.commit({ compare, puts, deletes });
        return result.kind === 'committed' ? secret : 'conflict';
      });
    },

    async get(name) {
      if (!isSecretName(name)) return undefined;
      const item = await headOf(name);
      return item === undefined ? undefined : decodeSecret(item);
    },

    async list({ after, limit }) {
      const { items } = await store.range({
        prefix: storePrefixes.secrets,
        limit: limit + 1,
        ...(after === undefined ? {} : { after: storePrefixes.secrets + after }),
      });
      const secrets = items.slice(0, limit).map(decodeSecret);
      const last = secrets.at(-1);
      return items.length > limit && last !== undefined
        ? { secrets, next: last.name }
        : { secrets };
    },

    delete: (name, record) =>
      untilSettled(name, async () => {
        const item = isSecretName(name) ? await headOf(name) : undefined;
        if (item === undefined) throw secretNotFound(name);
        const secret = decodeSecret(item);
        await record(secret);
        const all = await allOf(store);
        const { count, highVersion } = all.record;
        const { key } = item;
        const result = await store.commit({
          compare: [
            { key, modRevision: item.modRevision },
            { key: secretsRecordKey, modRevision: all.modRevision },
          ],
          puts: [
            {
              key: secretsRecordKey,
              value: encodeSecretsRecord({
                count: count - 1,
                highVersion: Math.max(highVersion, secret.nextVersion - 1),
              }),
            },
          ],
          deletes: [
            key,
            ...secret.versions.map(({ version }) => storeKeys.secretValues(name, version)),
          ],
        });
        return result.kind === 'committed' ? secret : 'conflict';
      }),

    async open({ name, versions }, version) {
      const isKept = versions.some((each) => each.version === version);
      const item = isKept ? await store.get(storeKeys.secretValues(name, version)) : undefined;
      if (item === undefined) {
        throw new SecretError('secret_version', `the secret ${name} has no version ${version} now`);
      }
      return seal.unsealValues(name, version, item.value);
    },
  };
}

export function secretNotFound(name: string): SecretError {
  return new SecretError('secret_not_found', `no secret ${JSON.stringify(name.slice(0, 128))}`, {
    remedy: 'see signet secret list',
  });
}

/** The head as it is to stand. */
function next(
  item: StoreItem | undefined,
  { count, highVersion }: SecretsRecord,
  { name, allow, values, by }: PutSecret,
  nowMs: number,
): NamedSecret {
  const before = item === undefined ? undefined : decodeSecret(item);
  if (before === undefined && count >= secretsMax) {
    throw new SecretError('secrets_many', `there are ${secretsMax} secrets already`, {
      remedy: 'delete one, or put several values into one secret',
    });
  }
  const rule = allow ?? before?.allow;
  if (rule === undefined) {
    throw new SecretError('secret_access', `nobody is named who may have the new secret ${name}`, {
      remedy: 'say who, as SPIFFE IDs',
    });
  }
  if (values === undefined) {
    if (before === undefined) throw secretNotFound(name);
    return { ...before, allow: rule };
  }
  const version = before?.nextVersion ?? highVersion + 1;
  const added: SecretVersion = {
    version,
    createdAtMs: nowMs,
    by,
    values: [...values]
      .map(([each, value]) => ({ name: each, bytes: value.length }))
      .toSorted((left, right) => (left.name < right.name ? -1 : 1)),
  };
  const versions = [...(before?.versions ?? []), added].slice(-versionsKept);
  return { name, allow: rule, versions, nextVersion: version + 1 };
}

async function allOf(
  store: Pick<Store, 'get'>,
): Promise<{ readonly record: SecretsRecord; readonly modRevision: number }> {
  const item = await store.get(secretsRecordKey);
  if (item === undefined) return { record: { count: 0, highVersion: 0 }, modRevision: 0 };
  return { record: decodeSecretsRecord(item), modRevision: item.modRevision };
}

/** What could never be put is not looked for: a store's keys have a form of their own. */
function isSecretName(name: string): boolean {
  try {
    checkSecretName(name);
    return true;
  } catch (error) {
    if (error instanceof SecretError) return false;
    throw error;
  }
}

async function untilSettled<Result>(
  name: string,
  attempt: () => Promise<Result | 'conflict'>,
): Promise<Result> {
  for (let count = 0; count < attemptsMax; count += 1) {
    const result = await attempt();
    if (result !== 'conflict') return result;
  }
  throw new SecretError('secret_changed', `${name}: ${attemptsMax} other changes came between`, {
    remedy: 'try again',
  });
}

// Heads are held in memory by the CA; these are some megabytes.
const secretsMax = 10_000;
// The newest is what is given out; those before it are for whoever has to go back.
const versionsKept = 8;
const attemptsMax = 16;
