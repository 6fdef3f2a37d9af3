import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { silentLogger, systemRandom } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { type Authorities, openAuthorities } from '../authority/authorities.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import { createKeyStore } from '../authority/key-store.ts';
import type { IssuanceDeps } from '../issuance/issue.ts';
import { openSerials } from '../issuance/serial.ts';
import { type ServerSvid, startServerSvid } from './server-svid.ts';

const second = 1000;
const trustDomain = parseTrustDomain('mesh.test');
const lifetimes = {
  rootMs: 3600 * second,
  issuingMs: 600 * second,
  x509SvidMs: 20 * second,
  nodeSvidMs: 20 * second,
  backdateMs: 0,
};

async function begin(): Promise<{
  readonly clock: ManualClock;
  readonly audit: RecordingAuditLog;
  readonly authorities: Authorities;
  readonly svid: ServerSvid;
  readonly issuance: IssuanceDeps;
  readonly issued: () => number;
}> {
  const store = new MemoryStore();
  const clock = new ManualClock(Date.parse('2026-11-22T12:00:00Z'));
  const audit = new RecordingAuditLog();
  const serials = await openSerials(store, systemRandom);
  const authorities = await openAuthorities({
    store,
    keyStore: createKeyStore(createSecretKey(randomBytes(32)), systemRandom),
    audit,
    clock,
    log: silentLogger,
    trustDomain,
    lifetimes,
    nextSerial: () => serials.next(),
  });
  const issuance: IssuanceDeps = {
    trustDomain,
    lifetimes,
    clock,
    authorities,
    serials,
    audit,
    isNode: () => false,
    authorizedEntry: () => undefined,
    onIssued: () => {},
  };
  const { trust } = authorities;
  const svid = await startServerSvid({ issuance, trust, clock, log: silentLogger });
  return {
    clock,
    audit,
    authorities,
    svid,
    issuance,
    issued: () => audit.types().filter((type) => type === 'svid.issued').length,
  };
}

test('it is issued through the cycle, recorded, and renewed at half life', async () => {
  const here = await begin();
  expect(here.audit.events.at(-1)).toMatchObject({
    type: 'svid.issued',
    actor: { kind: 'system' },
    certificate: { spiffeId: 'spiffe://mesh.test/signet/ca' },
  });
  const context = here.svid.context();
  await here.clock.advance(9 * second);
  expect(here.svid.context()).toBe(context);
  await here.clock.advance(2 * second);
  expect(here.svid.context()).not.toBe(context);
  expect(here.issued()).toBe(2);
  await here.svid.close();
  await here.authorities.close();
});

test('another root is taken up at once', async () => {
  const here = await begin();
  const context = here.svid.context();
  const actor = { kind: 'system', id: 'test' } as const;
  const { id } = await here.authorities.prepare(actor);
  await here.clock.advance(second);
  expect(here.svid.context()).toBe(context);
  await here.authorities.activate(
    actor,
    id,
    () => ({ nodes: 0, nodesApplied: 0, subscribers: 0, acknowledged: 0 }),
    false,
  );
  await here.clock.advance(0);
  expect(here.svid.context()).not.toBe(context);
  await here.svid.close();
  await here.authorities.close();
});

test('when it cannot be renewed it is tried again, and never presented after its end', async () => {
  const here = await begin();
  const context = here.svid.context();
  here.audit.failing = true;
  await here.clock.advance(20 * second);
  expect(here.svid.context()).toBe(context);
  await here.clock.advance(second);
  expect(here.svid.context()).toBeUndefined();
  here.audit.failing = false;
  await here.clock.advance(second);
  expect(here.svid.context()).toBeDefined();
  await here.svid.close();
  await here.authorities.close();
});

test('a machine that slept past its end has another within a second of waking', async () => {
  const here = await begin();
  here.clock.jump(60 * second);
  expect(here.svid.context()).toBeUndefined();
  await here.clock.advance(second);
  expect(here.svid.context()).toBeDefined();
  // And one that was made while the clock was ahead is replaced: nobody else's clock would take it yet.
  const ahead = here.svid.context();
  here.clock.jump(-60 * second);
  await here.clock.advance(second);
  expect(here.svid.context()).not.toBe(ahead);
  expect(here.issued()).toBe(3);
  await here.svid.close();
  await here.authorities.close();
});

test('without an authority that signs it waits for one', async () => {
  const here = await begin();
  await here.svid.close();
  let isAway = true;
  const { issuance, authorities, clock } = here;
  const svid = await startServerSvid({
    issuance: {
      ...issuance,
      authorities: {
        expectLeaf: (...given) => authorities.expectLeaf(...given),
        recordLeaf: (...given) => authorities.recordLeaf(...given),
        issuer() {
          if (isAway) throw new AuthorityError('authority_ended', 'there is none');
          return authorities.issuer();
        },
      },
    },
    trust: authorities.trust,
    clock,
    log: silentLogger,
  });
  expect(svid.context()).toBeUndefined();
  isAway = false;
  await clock.advance(second);
  expect(svid.context()).toBeDefined();
  await svid.close();
  await authorities.close();
});
