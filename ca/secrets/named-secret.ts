/** A named secret: what it may be called, what it may hold, and who may have it. Its values are never part of it. */

import { isStoredSecretName, reservedSecretNames } from '../../api/index.ts';
import { utf8Bytes } from '../../core/index.ts';
import { decidePeer, parsePeerPolicy, PeerPolicyError } from '../../policies/index.ts';
import { trustDomainOf, type SpiffeId, type TrustDomain } from '../../spiffe/index.ts';
import { SecretError } from './secret-error.ts';

export interface NamedSecret {
  readonly name: string;
  /** Patterns: a SPIFFE ID in full, or `spiffe://<trust domain>/*`. */
  readonly allow: readonly string[];
  /** Oldest first; the last is the one that workloads are given. */
  readonly versions: readonly SecretVersion[];
  /** What the next version is called: no number of a name ever means two contents. */
  readonly nextVersion: number;
}

export interface SecretVersion {
  readonly version: number;
  readonly createdAtMs: number;
  /** Who put it, as the audit log names them. */
  readonly by: string;
  readonly values: readonly { readonly name: string; readonly bytes: number }[];
}

/** By name; a secret of one plain value has it under `''`. */
export type SecretValues = ReadonlyMap<string, Uint8Array>;

/** Throws {@link SecretError} `secret_name`. */
export function checkSecretName(name: string): void {
  if (isStoredSecretName(name)) return;
  throw new SecretError(
    'secret_name',
    reservedSecretNames.has(name)
      ? `${name} is what clients ask for another secret by`
      : `${JSON.stringify(name.slice(0, nameLengthMax))} is not the name of a secret`,
    { remedy: `1 to ${nameLengthMax} of a-z 0-9 . _ -, with a letter or digit at both ends` },
  );
}

/** Throws {@link SecretError} `secret_values`. No message says anything of a value but its size. */
export function checkSecretValues(values: SecretValues): void {
  const refuse = (why: string, remedy?: string): never => {
    throw new SecretError('secret_values', why, remedy === undefined ? {} : { remedy });
  };
  if (values.size === 0) refuse('a secret without a value');
  if (values.size > valuesMax) refuse(`${values.size} values, at most ${valuesMax} are taken`);
  if (values.has('') && values.size > 1) {
    refuse('one plain value and named ones', 'name them all');
  }
  let total = 0;
  for (const [name, value] of values) {
    if (name !== '' && !valueNamePattern.test(name)) {
      refuse(
        `${JSON.stringify(name.slice(0, nameLengthMax))} is not the name of a value`,
        `1 to ${nameLengthMax} of A-Z a-z 0-9 . _ -, the first a letter or digit`,
      );
    }
    const what = name === '' ? 'the value' : `the value ${name}`;
    if (value.length === 0) refuse(`${what} is empty`);
    if (value.length > valueBytesMax) {
      refuse(`${what} has ${value.length} bytes, at most ${valueBytesMax} are taken`);
    }
    total += utf8Bytes(name).length + value.length;
  }
  if (total > secretBytesMax) {
    refuse(`the values have ${total} bytes together, at most ${secretBytesMax} are taken`);
  }
}

/** The rule with each pattern once. Throws {@link SecretError} `secret_access`. */
export function parseAllow(patterns: readonly string[], own: TrustDomain): readonly string[] {
  if (patterns.length > allowMax) {
    throw new SecretError('secret_access', `${patterns.length} patterns, at most ${allowMax}`);
  }
  try {
    const { ids, trustDomains } = parsePeerPolicy(patterns);
    const stranger = [...[...ids].map(trustDomainOf), ...trustDomains].find((td) => td !== own);
    if (stranger !== undefined) {
      throw new SecretError(
        'secret_access',
        `${stranger} is not this CA's trust domain: nobody there is given a secret by it`,
      );
    }
  } catch (error) {
    if (!(error instanceof PeerPolicyError)) throw error;
    throw new SecretError('secret_access', error.message, {
      cause: error,
      remedy: `name SPIFFE IDs in full, or spiffe://${own}/*`,
    });
  }
  return [...new Set(patterns)].toSorted();
}

/** The pattern that lets this identity have the secret, or undefined. */
export function entitledBy({ allow }: NamedSecret, id: SpiffeId): string | undefined {
  const verdict = decidePeer(parsePeerPolicy(allow), id);
  return verdict.kind === 'allow' ? verdict.rule : undefined;
}

export function newestOf({ name, versions }: NamedSecret): SecretVersion {
  const newest = versions.at(-1);
  if (newest !== undefined) return newest;
  throw new SecretError('secret_record_invalid', `the secret ${name} has no version`);
}

const nameLengthMax = 128;
const valueNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
// A key, a password, a licence; what is larger is a file, and belongs elsewhere.
const valueBytesMax = 64 * 1024;
const valuesMax = 64;
// All of them go into one transaction of the store, and into one message of gRPC.
const secretBytesMax = 512 * 1024;
const allowMax = 64;
