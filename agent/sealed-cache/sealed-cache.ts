/**
 * The sealed cache: what the agent holds, in a file that only this agent can open until this machine is started
 * anew. A write follows each change, and those that come while it lasts, and some milliseconds after, are one more.
 */

import { Buffer } from 'node:buffer';
import { rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type Clock,
  type Closable,
  describeError,
  FileError,
  type Logger,
  type Random,
  readText,
  readWhole,
  replaceFile,
  type Timer,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import { AgentError } from '../agent-error.ts';
import { type AgentSnapshot, decodeSnapshot, encodeSnapshot } from './agent-snapshot.ts';
import type { CacheConfig } from './cache-config.ts';
import { type CacheKey, cacheKeyOf } from './cache-key.ts';
import { makePrivatePlace, type PrivatePlace } from './private-place.ts';
import { nonceBytes, seal, type SealRefusalCode, unseal } from './seal.ts';

export type SealedCacheStatus =
  | { readonly kind: 'off'; readonly reason: string }
  | {
      readonly kind: 'on';
      readonly path: string;
      readonly key: CacheKey['kind'];
      /** Where the key is, for an operator to read. */
      readonly keyPlace: string;
      /** What this start of the agent found. */
      readonly found: FoundCache;
      readonly written?: { readonly atMs: number; readonly bytes: number; readonly svids: number };
      /** Why the newest write failed: the file is older than what is held. */
      readonly failure?: string;
    };

export type FoundCache =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'restored'; readonly savedAtMs: number; readonly svids: number }
  | {
      readonly kind: 'ignored';
      readonly code: SealRefusalCode | 'cache_content' | 'cache_size' | 'cache_file' | 'cache_pin';
      readonly detail: string;
    };

export interface SealedCache extends Closable {
  readonly status: Watch<SealedCacheStatus>;
  /** What a former start of this agent left, if this one may have it. Never throws: a bad cache is no cache. */
  load(isOurs: (snapshot: AgentSnapshot) => string | undefined): Promise<AgentSnapshot | undefined>;
  /** Something of what `snapshot` answers has changed: it is written soon. */
  keep(snapshot: () => AgentSnapshot | undefined): void;
  /** Takes the file away, for a node that the CA will not have any more, and writes none again. */
  forget(): Promise<void>;
}

export interface SealedCacheDeps {
  readonly trustDomain: TrustDomain;
  /** Where it and a key in a file stand if the configuration does not say. */
  readonly place: PrivatePlace;
  readonly euid: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly bootId: () => Promise<string>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Throws AgentError if the configuration names a key that cannot be had, or the cache has no place. */
export async function openSealedCache(
  config: CacheConfig,
  deps: SealedCacheDeps,
): Promise<SealedCache> {
  if (config.kind === 'off') return noCache('off by configuration');
  const { place, euid, log } = deps;
  const bootId = await deps.bootId();
  const path = config.path ?? place.cache;
  let choice = await cacheKeyOf(config.key, { ...deps, bootId });
  try {
    if (dirname(path) === place.directory) await makePrivatePlace(place.directory, euid);
  } catch (error) {
    if (!(error instanceof AgentError) || config.key.kind !== 'auto') throw error;
    choice = { kind: 'none', reason: error.message };
  }
  if (choice.kind === 'none') {
    log.warn('no sealed cache: this agent cannot be restarted while the CA is away', {
      reason: choice.reason,
    });
    return noCache(choice.reason);
  }
  return new FileCache(path, choice.key, bootId, deps);
}

/** Changes with each start of the machine (random(4)). */
export async function readBootId(): Promise<string> {
  return (await readText('/proc/sys/kernel/random/boot_id')).trim();
}

function noCache(reason: string): SealedCache {
  return {
    status: new WatchSource<SealedCacheStatus>({ kind: 'off', reason }),
    load: async () => undefined,
    keep() {},
    forget: async () => {},
    close: async () => {},
  };
}

class FileCache implements SealedCache {
  readonly status: WatchSource<SealedCacheStatus & { kind: 'on' }>;
  readonly #path: string;
  readonly #key: CacheKey;
  readonly #bootId: string;
  readonly #deps: SealedCacheDeps;
  #snapshot: () => AgentSnapshot | undefined = () => undefined;
  #due: Timer | undefined;
  #writing: Promise<void> | undefined;
  #isStale = false;
  #nextMs = 0;
  #ended = false;

  constructor(path: string, key: CacheKey, bootId: string, deps: SealedCacheDeps) {
    this.#path = path;
    this.#key = key;
    this.#bootId = bootId;
    this.#deps = deps;
    this.status = new WatchSource<SealedCacheStatus & { kind: 'on' }>({
      kind: 'on',
      path,
      key: key.kind,
      keyPlace: key.place,
      found: { kind: 'nothing' },
    });
  }

  async load(isOurs: (snapshot: AgentSnapshot) => string | undefined) {
    const { log } = this.#deps;
    const read = await this.#read(isOurs);
    const found: FoundCache =
      read.kind === 'restored'
        ? { kind: read.kind, savedAtMs: read.snapshot.savedAtMs, svids: read.snapshot.svids.length }
        : read;
    this.#tell({ found });
    const fields = { path: this.#path, key: this.#key.kind, place: this.#key.place, found };
    if (read.kind === 'ignored')
      log.warn('the sealed cache is ignored: the agent starts as new', fields);
    else log.info('sealed cache', fields);
    return read.kind === 'restored' ? read.snapshot : undefined;
  }

  keep(snapshot: () => AgentSnapshot | undefined): void {
    this.#snapshot = snapshot;
    this.#isStale = true;
    if (this.#ended || this.#due !== undefined || this.#writing !== undefined) return;
    // The first change is written at once: what a kill loses is what came after it.
    const waitMs = this.#nextMs - this.#deps.clock.monotonicMs();
    this.#due = this.#deps.clock.after(Math.max(0, waitMs), () => {
      this.#due = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#isStale) this.keep(this.#snapshot);
      });
    });
  }

  async forget(): Promise<void> {
    this.#end();
    await this.#writing;
    await rm(this.#path, { force: true });
  }

  async close(): Promise<void> {
    const isEnded = this.#ended;
    this.#end();
    await this.#writing;
    if (this.#isStale && !isEnded) await this.#write();
  }

  #end(): void {
    this.#ended = true;
    this.#due?.cancel();
    this.#due = undefined;
  }

  async #read(
    isOurs: (snapshot: AgentSnapshot) => string | undefined,
  ): Promise<
    | Exclude<FoundCache, { kind: 'restored' }>
    | { readonly kind: 'restored'; readonly snapshot: AgentSnapshot }
  > {
    const { trustDomain, clock } = this.#deps;
    let file: Buffer;
    try {
      const { size } = await stat(this.#path);
      if (size > fileBytesMax) {
        return { kind: 'ignored', code: 'cache_size', detail: `it has ${size} bytes` };
      }
      file = Buffer.from(await readWhole(this.#path));
    } catch (error) {
      if (isMissing(error)) return { kind: 'nothing' };
      return { kind: 'ignored', code: 'cache_file', detail: describeError(error) };
    }
    const unsealed = unseal(file, { trustDomain, bootId: this.#bootId }, this.#key.key);
    if (unsealed.kind === 'refused') return { ...unsealed, kind: 'ignored' };
    const decoded = decodeSnapshot(unsealed.content, trustDomain, clock.wallMs());
    unsealed.content.fill(0);
    const refuse = (code: 'cache_content' | 'cache_pin', detail: string) =>
      ({ kind: 'ignored', code, detail }) as const;
    if (decoded.kind === 'refused') return refuse('cache_content', decoded.detail);
    const { snapshot } = decoded;
    if (snapshot.node.id !== unsealed.nodeId) {
      return refuse('cache_content', `it is sealed for ${unsealed.nodeId}`);
    }
    const whyNot = isOurs(snapshot);
    return whyNot === undefined ? { kind: 'restored', snapshot } : refuse('cache_pin', whyNot);
  }

  async #write(): Promise<void> {
    const { clock, log } = this.#deps;
    this.#isStale = false;
    const snapshot = this.#snapshot();
    if (snapshot === undefined) return;
    const startMs = clock.monotonicMs();
    try {
      const sealed = this.#seal(snapshot);
      if (sealed.length > fileBytesMax)
        throw new RangeError(`it would have ${sealed.length} bytes`);
      await replaceFile(this.#path, sealed);
      const written = {
        atMs: clock.wallMs(),
        bytes: sealed.length,
        svids: snapshot.svids.length,
      };
      this.#tell({ written, failure: undefined });
    } catch (error) {
      // The agent goes on without: only a restart during an outage would miss it.
      if (!(error instanceof FileError || error instanceof RangeError)) throw error;
      const failure = describeError(error);
      log.warn('the sealed cache could not be written', { path: this.#path, reason: failure });
      this.#tell({ failure });
    }
    const endMs = clock.monotonicMs();
    const restMs = Math.max(coalesceMs, (endMs - startMs) * restShare);
    this.#nextMs = endMs + Math.min(restMsMax, restMs);
  }

  #seal(snapshot: AgentSnapshot): Buffer {
    const content = encodeSnapshot(snapshot);
    try {
      const { trustDomain, random } = this.#deps;
      const whatFor = { trustDomain, nodeId: snapshot.node.id, bootId: this.#bootId };
      return seal(content, whatFor, this.#key.key, random.bytes(nonceBytes));
    } finally {
      content.fill(0);
    }
  }

  #tell(change: {
    readonly found?: FoundCache;
    readonly written?: (SealedCacheStatus & { kind: 'on' })['written'] & object;
    readonly failure?: string | undefined;
  }): void {
    const { failure: old, ...rest } = this.status.current();
    const failure = 'failure' in change ? change.failure : old;
    const { failure: _dropped, ...changed } = change;
    this.status.set({ ...rest, ...changed, ...(failure === undefined ? {} : { failure }) });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

// All renewals of one answer of the CA, and the push that brought them about, are one write.
const coalesceMs = 50;
// A node with thousands of identities writes a twentieth of the time.
const restShare = 20;
const restMsMax = 2000;
// Ten thousand identities of 3 kB each, the most that a node derives, and their entries.
const fileBytesMax = 64 * 1024 * 1024;
