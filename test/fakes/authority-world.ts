/** The authorities of a CA over what outlives its process: a store, an audit log, a key-encryption key, time. */

import { createSecretKey, randomBytes } from 'node:crypto';
import type { AuditLog } from '../../ca/audit/audit-log.ts';
import type { Actor } from '../../ca/audit/event.ts';
import {
  type Authorities,
  type AuthoritiesDeps,
  openAuthorities,
} from '../../ca/authority/authorities.ts';
import { createKeyStore } from '../../ca/authority/key-store.ts';
import type { Lifetimes } from '../../ca/authority/lifetimes.ts';
import { claimStore } from '../../ca/authority/store-identity.ts';
import { openSerials } from '../../ca/issuance/serial.ts';
import type { Store } from '../../ca/store/store.ts';
import { silentLogger, systemRandom } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryStore } from './memory-store.ts';
import { RecordingAuditLog } from './recording-audit-log.ts';

export interface AuthorityWorld {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly clock: ManualClock;
  readonly kek: Buffer;
}

export const authorityStartMs = Date.parse('2026-11-22T12:00:00Z');

export const authorityLifetimes: Lifetimes = {
  rootMs: 3_600_000,
  issuingMs: 20_000,
  x509SvidMs: 8000,
  nodeSvidMs: 8000,
  backdateMs: 5000,
};

export const operator: Actor = { kind: 'admin', id: 'uid:0 pid:1', uid: 0, pid: 1 };

export function authorityWorld(): AuthorityWorld & { readonly audit: RecordingAuditLog } {
  return {
    store: new MemoryStore(),
    audit: new RecordingAuditLog(),
    clock: new ManualClock(authorityStartMs),
    kek: randomBytes(32),
  };
}

export async function openWorld(
  { store, audit, clock, kek }: AuthorityWorld,
  trustDomain = 'mesh.test',
  more: Pick<AuthoritiesDeps, 'rotation' | 'upstream'> = {},
): Promise<Authorities> {
  const keyStore = createKeyStore(createSecretKey(kek), systemRandom);
  const domain = parseTrustDomain(trustDomain);
  await claimStore(store, keyStore, domain);
  const serials = await openSerials(store, systemRandom);
  return openAuthorities({
    store,
    keyStore,
    audit,
    clock,
    log: silentLogger,
    trustDomain: domain,
    lifetimes: authorityLifetimes,
    nextSerial: () => serials.next(),
    ...more,
  });
}

/** Each with its tier, in the order of making. */
export function statesOf(authorities: Authorities): string[] {
  return authorities.current().authorities.map(({ tier, state }) => `${tier} ${state}`);
}
