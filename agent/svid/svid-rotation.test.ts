import { expect, test } from 'vitest';
import type { SignX509SvidsRequest, SignX509SvidsResponse } from '../../api/index.ts';
import { CodedError, seededRandom, silentLogger, WatchSource } from '../../core/index.ts';
import { parseCertificateRequest } from '../../pki/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { eventually } from '../../test/fakes/eventually.ts';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import { makeTestPki } from '../../test/fakes/test-pki.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import type { NodeApi } from '../node-api.ts';
import type { EntrySvid } from './entry-svid.ts';
import { startSvidRotation } from './svid-rotation.ts';

class Away extends CodedError<'away'> {
  override readonly name = 'Away';
  override readonly kind = 'unavailable';
}

const startMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs: startMs });

/** A CA that is one function; `mode` says how it behaves now. */
function setUp(restored: readonly EntrySvid[] = []) {
  const clock = new ManualClock(startMs);
  const batches: number[] = [];
  const control = {
    mode: 'sign' as 'sign' | 'away' | 'hang' | 'refuse' | 'short',
    revoked: [] as string[],
  };
  const entries: AgentEntry[] = [];
  let revision = 0n;

  const answer = async (item: SignX509SvidsRequest['items'][number]) => {
    if (control.mode === 'refuse' || item.entryId === 'bad') {
      const value = { kind: 'permission_denied', code: 'no', detail: 'no' };
      return { outcome: { $case: 'refusal' as const, value } };
    }
    const leaf = await pki.issueLeaf({
      id: `/${item.entryId}`,
      publicKey: parseCertificateRequest(new Uint8Array(item.csr)).publicKey,
      notAfterMs: clock.wallMs() + 10_000,
    });
    const certificates = leaf.chainDer.map((der) => Buffer.from(der));
    return { outcome: { $case: 'chain' as const, value: { certificates } } };
  };
  const unused = async (): Promise<never> => {
    throw new Away('away', 'not asked for here');
  };
  const api: NodeApi = {
    challenge: unused,
    attest: unused,
    renew: unused,
    mintJwtSvids: unused,
    readSecret: unused,
    sessionTicketKeys: unused,
    sync() {
      throw new Away('away', 'not asked for here');
    },
    async signX509Svids(request): Promise<SignX509SvidsResponse> {
      batches.push(request.items.length);
      if (control.mode === 'away') throw new Away('away', 'nobody there');
      if (control.mode === 'hang') await new Promise(() => {});
      const items = await Promise.all(request.items.map(answer));
      return { items: control.mode === 'short' ? items.slice(1) : items };
    },
    async close() {},
  };
  const state = new WatchSource<CaState | undefined>(undefined);
  const push = (...ids: string[]): void => {
    revision += 1n;
    entries.splice(0, entries.length, ...ids.map((id) => entryOf(id)));
    state.set({
      revision,
      trustDomain: pki.trustDomain,
      entries: [...entries],
      bundles: pki.bundles,
      bundleText: new Uint8Array(),
      activeRootKeyId: '',
      crls: [],
      revokedSerials: new Set(control.revoked),
    });
  };
  const rotation = startSvidRotation({
    api: new WatchSource(api),
    state,
    clock,
    random: seededRandom(7),
    log: silentLogger,
    restored,
  });
  const held = (): string[] => [...rotation.svids.current().keys()];
  return { clock, control, batches, push, rotation, held };
}

const entryOf = (id: string): AgentEntry => ({
  id,
  spiffeId: parseSpiffeId(`spiffe://mesh.test/${id}`),
  selectors: ['unix:uid:1'],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
});

test('each entry gets a certificate, renewed between 45 and 55 hundredths of its life', async () => {
  const { clock, batches, push, rotation, held } = setUp();
  push('a', 'b');
  await eventually(() => expect(held()).toEqual(['a', 'b']));
  const first = rotation.svids.current().get('a');
  await clock.advance(4400);
  expect(batches).toEqual([2]);
  await clock.advance(1200);
  await eventually(() => expect(rotation.svids.current().get('a')).not.toBe(first));
  await rotation.close();
});

test('many entries go in batches that the CA takes', async () => {
  const { batches, push, rotation, held } = setUp();
  push(...Array.from({ length: 260 }, (_, index) => `w${index}`));
  await eventually(() => expect(held().length).toBe(260));
  expect(batches).toEqual([250, 10]);
  await rotation.close();
});

test('a refusal harms no other entry, nor does an answer that is too short', async () => {
  const { push, control, rotation, held } = setUp();
  control.mode = 'short';
  push('bad', 'b');
  // The answers moved up by one: each is for another key and is not believed.
  await settle();
  expect(held()).toEqual([]);
  control.mode = 'sign';
  push('bad', 'b', 'c');
  await eventually(() => expect(held()).toEqual(['c']));
  await rotation.close();
});

test('an entry that is gone is withdrawn at once', async () => {
  const { push, rotation, held } = setUp();
  push('a', 'b');
  await eventually(() => expect(held()).toEqual(['a', 'b']));
  push('b');
  expect(held()).toEqual(['b']);
  await rotation.close();
});

test('a revoked certificate goes at once and is asked for anew, while the others stay', async () => {
  const { control, batches, push, rotation, held } = setUp();
  push('a', 'b');
  await eventually(() => expect(held()).toEqual(['a', 'b']));
  const [first, other] = ['a', 'b'].map((id) => rotation.svids.current().get(id));
  control.revoked = [first?.svid.chain[0]?.serial ?? ''];
  push('a', 'b');
  expect(held()).toEqual(['b']);
  await eventually(() => expect(held()).toEqual(['a', 'b']));
  expect(rotation.svids.current().get('a')).not.toBe(first);
  expect(rotation.svids.current().get('b')).toBe(other);
  expect(batches).toEqual([2, 1]);
  await rotation.close();
});

test('a certificate goes when it expires, also while a call to the CA hangs', async () => {
  const { clock, control, push, rotation, held } = setUp();
  push('a');
  await eventually(() => expect(held()).toEqual(['a']));
  control.mode = 'hang';
  await clock.advance(9900);
  expect(held()).toEqual(['a']);
  await clock.advance(100);
  expect(held()).toEqual([]);
  // And nothing that hangs keeps the agent from ending.
  await rotation.close();
});

test('a CA that is away is tried again and again, and at once when it is heard of', async () => {
  const { clock, control, batches, push, rotation, held } = setUp();
  control.mode = 'away';
  push('a');
  await clock.advance(30_000);
  expect(batches.length).toBeGreaterThan(8);
  expect(batches.length).toBeLessThan(25);
  control.mode = 'sign';
  push('a');
  await eventually(() => expect(held()).toEqual(['a']));
  await rotation.close();
});

test('what was restored is given to its entry when that comes, for five minutes and to no other', async () => {
  const made = setUp();
  made.push('a', 'b', 'c');
  await eventually(() => expect(made.held().length).toBe(3));
  const restored = [...made.rotation.svids.current().values()].map((each) => ({
    ...each,
    notAfterMs: startMs + 3_600_000,
    renewAtMs: startMs + 1_800_000,
  }));
  await made.rotation.close();

  const { clock, batches, push, rotation, held } = setUp(restored);
  push('a');
  await settle();
  expect(rotation.svids.current().get('a')).toBe(restored[0]);
  // The others wait for a workload that derives them, and are kept for one more restart.
  expect(held()).toEqual(['a']);
  expect(rotation.held()).toEqual(restored);
  push('a', 'b');
  await settle();
  expect(rotation.svids.current().get('b')).toBe(restored[1]);
  expect(batches).toEqual([]);
  await clock.advance(300_000);
  push('a', 'b', 'c');
  await eventually(() => expect(held()).toEqual(['a', 'b', 'c']));
  expect(rotation.svids.current().get('c')).not.toBe(restored[2]);
  expect(batches).toEqual([1]);
  await rotation.close();
});
