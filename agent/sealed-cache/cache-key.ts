/**
 * The key of the sealed cache, from a place that is gone after a reboot: the kernel's keyring, a file on a
 * tmpfs, or a credential that systemd gave to this service.
 */

import { Buffer } from 'node:buffer';
import { createSecretKey, hkdfSync, type KeyObject, randomFillSync } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeError, systemErrorCode, utf8Bytes } from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import { AgentError } from '../agent-error.ts';
import type { CacheKeyConfig } from './cache-config.ts';
import { keyFromKeyring } from './kernel-keyring.ts';
import { makePrivatePlace, type PrivatePlace } from './private-place.ts';

export interface CacheKey {
  readonly key: KeyObject;
  readonly kind: 'keyring' | 'file' | 'credential';
  /** Where it is, for an operator to read. */
  readonly place: string;
}

export interface CacheKeyDeps {
  readonly trustDomain: TrustDomain;
  readonly bootId: string;
  readonly place: PrivatePlace;
  readonly euid: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export type CacheKeyChoice =
  | { readonly kind: 'key'; readonly key: CacheKey }
  /** Only for `auto`: this machine has none of them. */
  | { readonly kind: 'none'; readonly reason: string };

/** Throws {@link AgentError} if the configuration names a place and no key can be had from it. */
export async function cacheKeyOf(
  config: CacheKeyConfig,
  deps: CacheKeyDeps,
): Promise<CacheKeyChoice> {
  if (config.kind !== 'auto') return { kind: 'key', key: await keyFrom(config, deps) };
  const reasons: string[] = [];
  for (const place of placesInOrder(deps)) {
    try {
      return { kind: 'key', key: await keyFrom(place, deps) };
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      reasons.push(error.message);
    }
  }
  return { kind: 'none', reason: reasons.join('; ') };
}

/** The name that the key has in the kernel's keyring. */
export function keyringNameOf(trustDomain: TrustDomain): string {
  return `signet-agent-cache:${trustDomain}`;
}

async function keyFrom(
  place: Exclude<CacheKeyConfig, { kind: 'auto' }>,
  deps: CacheKeyDeps,
): Promise<CacheKey> {
  if (place.kind === 'keyring') {
    const name = keyringNameOf(deps.trustDomain);
    const found = keyFromKeyring(name, secretBytes);
    if (found.kind === 'unavailable') throw unusable(`kernel keyring: ${found.reason}`);
    return { key: derive(found.bytes, deps), kind: 'keyring', place: `@u user ${name}` };
  }
  if (place.kind === 'file') {
    const { place: own, euid } = deps;
    if (dirname(place.path) === own.directory) await makePrivatePlace(own.directory, euid);
    const bytes = await secretOfTmpfsFile(place.path);
    return { key: derive(bytes, deps), kind: 'file', place: place.path };
  }
  const directory = deps.environment['CREDENTIALS_DIRECTORY'] ?? '';
  if (directory === '') throw unusable('systemd gave this service no credentials');
  const path = join(directory, place.name);
  return { key: derive(await readSecret(path), deps), kind: 'credential', place: path };
}

/**
 * The keyring first, whose pages are never swapped out; but for root the file. Root's keyring (`@u` of uid 0) is that
 * of every container's root without a user namespace too, and who may call keyctl(2) there has the key by its
 * name. A file in our directory of mode 0700 is in no container's mounts.
 */
function placesInOrder({ place, euid }: CacheKeyDeps): Exclude<CacheKeyConfig, { kind: 'auto' }>[] {
  const keyring = { kind: 'keyring' } as const;
  const file = { kind: 'file', path: place.key } as const;
  const credential = { kind: 'credential', name: 'signet-agent-cache' } as const;
  return euid === 0 ? [file, keyring, credential] : [keyring, file, credential];
}

/**
 * With the boot's id in it, so that a credential that a disk keeps opens nothing after a reboot either.
 * `secret` is overwritten.
 */
function derive(secret: Buffer, { bootId, trustDomain }: CacheKeyDeps): KeyObject {
  const derived = Buffer.from(
    hkdfSync('sha256', secret, utf8Bytes(bootId), utf8Bytes(`signet cache v1 ${trustDomain}`), 32),
  );
  secret.fill(0);
  const key = createSecretKey(derived);
  derived.fill(0);
  return key;
}

async function secretOfTmpfsFile(path: string): Promise<Buffer> {
  await refuseDisk(dirname(path));
  try {
    const file = await open(path, 'wx', 0o600);
    const secret = randomFillSync(Buffer.alloc(secretBytes));
    try {
      await file.writeFile(secret);
    } finally {
      secret.fill(0);
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw unusable(`${path} cannot be made`, error);
  }
  // The file itself as well: another file system may be mounted over it.
  await refuseDisk(path);
  return readSecret(path, refuseOpenFile);
}

async function refuseDisk(path: string): Promise<void> {
  let type: number;
  try {
    ({ type } = await statfs(path));
  } catch (error) {
    throw unusable(`${path} cannot be looked at`, error);
  }
  if (memoryFileSystems.has(type)) return;
  throw unusable(`${path} is on a disk, where the key would lie beside what it seals`);
}

function refuseOpenFile(path: string, stats: Stats): void {
  const own = process.geteuid?.();
  if (stats.uid !== own) throw unusable(`${path} belongs to uid ${stats.uid}, not ${own}`);
  const mode = stats.mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw unusable(`${path} has mode ${mode.toString(8)}, and others may read it`);
}

async function readSecret(
  path: string,
  check: (path: string, stats: Stats) => void = () => {},
): Promise<Buffer> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw unusable(`${path} cannot be opened`, error);
  }
  const bytes = Buffer.alloc(secretBytesMax + 1);
  try {
    check(path, await file.stat());
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead < secretBytes || bytesRead > secretBytesMax) {
      throw unusable(`${path} has not ${secretBytes} to ${secretBytesMax} bytes`);
    }
    return Buffer.from(bytes.subarray(0, bytesRead));
  } finally {
    bytes.fill(0);
    await file.close();
  }
}

function unusable(reason: string, cause?: unknown): AgentError {
  const detail = cause === undefined ? reason : `${reason}: ${describeError(cause)}`;
  return new AgentError('cache_key', 'failed_precondition', `no key for the cache: ${detail}`, {
    remedy:
      'set cache.key to keyring, to a file on a tmpfs or to a systemd credential, or cache: off',
  });
}

const secretBytes = 32;
// A credential may be any secret: enough for a key in text, too little to be something else.
const secretBytesMax = 1024;
// statfs(2): tmpfs and ramfs. What is on them ends with the machine.
const memoryFileSystems: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);
