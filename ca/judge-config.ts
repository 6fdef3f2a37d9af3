/** What the operator gave, judged before anything is made: a CA that cannot start leaves nothing behind. */

import type { Random } from '../core/index.ts';
import { ensureAddressFree } from '../rpc/index.ts';
import { loadKeyEncryptionKey, nameOfSource } from './authority/key-encryption-key.ts';
import { createKeyStore, type KeyStore } from './authority/key-store.ts';
import { checkLifetimes } from './authority/lifetimes.ts';
import { loadUpstream } from './authority/load-upstream.ts';
import { checkRotationPolicy } from './authority/rotation-policy.ts';
import type { Upstream } from './authority/upstream.ts';
import type { CaConfig } from './config.ts';

export interface JudgedConfig {
  readonly keyStore: KeyStore;
  /** The operator's own root, where one is configured. */
  readonly upstream: Upstream | undefined;
}

/** Throws AuthorityError, FileError or ListenError, each with its remedy. */
export async function judgeConfig(
  config: CaConfig,
  deps: {
    readonly nowMs: number;
    readonly random: Random;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<JudgedConfig> {
  const { lifetimes, trustDomain } = config;
  checkLifetimes(lifetimes, config.jwt);
  checkRotationPolicy(config.rotation, lifetimes);
  const upstream =
    config.upstream === undefined
      ? undefined
      : await loadUpstream(config.upstream, { ...deps, trustDomain });
  const keyEncryptionKey = await loadKeyEncryptionKey(config.keyEncryptionKey, deps.environment);
  for (const address of [
    config.listen,
    config.admin?.listen,
    config.oidc?.listen,
    config.metrics,
  ]) {
    if (address !== undefined) await ensureAddressFree(address);
  }
  const keyStore = createKeyStore(keyEncryptionKey, deps.random, {
    key: `the key-encryption key of ${nameOfSource(config.keyEncryptionKey)}`,
    store: config.data,
  });
  return { keyStore, upstream };
}
