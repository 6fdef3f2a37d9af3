import { describe, expect, test } from 'vitest';
import { eventually } from '../../test/fakes/eventually.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { silentLogger, systemClock, type Watch, WatchSource } from '../../core/index.ts';
import type { Caller } from '../../rpc/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { AgentError } from '../agent-error.ts';
import type { CaState } from '../ca-state.ts';
import { nothingRevoked } from '../read-crls.ts';
import { createAttestedCallers, type Selectors } from './attested-callers.ts';
import type { WorkloadAttestation, WorkloadAttestor } from './workload-attestor.ts';

const stateWith = (...selectors: string[]): CaState => ({
  revision: 1n,
  trustDomain: parseTrustDomain('mesh.test'),
  entries: [
    {
      id: 'e',
      spiffeId: parseSpiffeId('spiffe://mesh.test/x'),
      selectors,
      hint: '',
      priority: 0,
      createdAtMs: 0,
      revision: 1n,
    },
  ],
  bundles: new Map(),
  bundleText: new Uint8Array(),
  activeRootKeyId: '',
  ...nothingRevoked,
});

const caller = (closed = new AbortController().signal): Caller => ({
  kind: 'unix',
  connection: 'connection-1',
  pid: 1,
  uid: 0,
  gid: 0,
  process: undefined,
  closed,
});

class FakeAttestor implements WorkloadAttestor {
  readonly name: string = 'fake';
  readonly deadlineMs = 1000;
  attested = 0;
  hashed = 0;
  failure: AgentError | undefined;

  async attest() {
    this.attested += 1;
    if (this.failure !== undefined) throw this.failure;
    const find = async (): Promise<string[]> => {
      this.hashed += 1;
      return ['fake:sha256:x'];
    };
    return { selectors: ['fake:uid:1'], costly: { prefix: 'fake:sha256:', find } };
  }
}

function setUp(initial: CaState | undefined) {
  const attestor = new FakeAttestor();
  const state = new WatchSource<CaState | undefined>(initial);
  const callers = createAttestedCallers({
    attestors: [attestor],
    state,
    clock: systemClock,
    log: silentLogger,
  });
  return { attestor, state, callers };
}

test('a connection is attested once, whoever asks how often', async () => {
  const { attestor, callers } = setUp(stateWith('fake:uid:1'));
  const one = caller();
  const [first, second] = await Promise.all([callers.selectorsOf(one), callers.selectorsOf(one)]);
  expect(first).toBe(second);
  expect([...first.current()]).toEqual(['fake:uid:1']);
  await callers.selectorsOf(caller());
  expect(attestor.attested).toBe(2);
  expect(attestor.hashed).toBe(0);
});

test('a failed attestation is tried again by the next call', async () => {
  const { attestor, callers } = setUp(stateWith('fake:uid:1'));
  const one = caller();
  attestor.failure = new AgentError('caller_unknown', 'unavailable', 'no');
  await expect(callers.selectorsOf(one)).rejects.toMatchObject({ code: 'caller_unknown' });
  attestor.failure = undefined;
  await callers.selectorsOf(one);
});

test('costly selectors are found at once if an entry has one', async () => {
  const { attestor, callers } = setUp(stateWith('fake:sha256:x'));
  const selectors = await callers.selectorsOf(caller());
  expect([...selectors.current()]).toEqual(['fake:uid:1', 'fake:sha256:x']);
  expect(attestor.hashed).toBe(1);
});

test('costly selectors are found when the first entry with one comes, for open connections only', async () => {
  const { attestor, state, callers } = setUp(stateWith('fake:uid:1'));
  const closing = new AbortController();
  await callers.selectorsOf(caller(closing.signal));
  const selectors = await callers.selectorsOf(caller());
  closing.abort();
  state.set(stateWith('fake:sha256:x'));
  await eventually(() => expect(selectors.current().has('fake:sha256:x')).toBe(true));
  state.set(stateWith('fake:sha256:y'));
  expect(attestor.hashed).toBe(1);
});

test('a caller over TLS is no process of this machine', async () => {
  const { callers } = setUp(undefined);
  const remote: Caller = {
    kind: 'tls',
    connection: 'connection-2',
    address: '192.0.2.1:1',
    identity: 'spiffe://mesh.test/x',
    leaf: undefined,
    closed: new AbortController().signal,
    disconnect() {},
  };
  await expect(callers.selectorsOf(remote)).rejects.toMatchObject({ kind: 'permission_denied' });
});

describe('with a source that hangs', () => {
  function hanging(...selectors: string[]) {
    const clock = new ManualClock(0);
    const settled = Promise.withResolvers<WorkloadAttestation>();
    const slow: WorkloadAttestor = {
      name: 'slow',
      deadlineMs: 30_000,
      attest: () => settled.promise,
    };
    const state = new WatchSource<CaState | undefined>(stateWith(...selectors));
    const attestors = [new FakeAttestor(), slow];
    const callers = createAttestedCallers({ attestors, state, clock, log: silentLogger });
    let known: Watch<Selectors> | undefined;
    const asked = callers.selectorsOf(caller()).then((watch) => {
      known = watch;
    });
    return { clock, asked, settled, now: () => known && [...known.current()] };
  }

  test('whoever has an identity by the others does not wait, and gets the rest when it comes', async () => {
    const { clock, asked, settled, now } = hanging('fake:uid:1');
    await clock.advance(999);
    expect(now()).toBeUndefined();
    await clock.advance(1);
    await asked;
    expect(now()).toEqual(['fake:uid:1']);
    settled.resolve({ selectors: ['slow:yes'] });
    await eventually(() => expect(now()).toEqual(['fake:uid:1', 'slow:yes']));
  });

  test('whoever has none by them waits for the whole', async () => {
    const { clock, asked, settled, now } = hanging('slow:yes');
    await clock.advance(20_000);
    expect(now()).toBeUndefined();
    settled.resolve({ selectors: ['slow:yes'] });
    await asked;
    expect(now()).toEqual(['fake:uid:1', 'slow:yes']);
  });

  test('a caller whom the whole look refuses has nothing any more', async () => {
    const { clock, asked, settled, now } = hanging('fake:uid:1');
    await clock.advance(1000);
    await asked;
    expect(now()).toEqual(['fake:uid:1']);
    settled.reject(new AgentError('caller_changed', 'unavailable', 'another user'));
    await eventually(() => expect(now()).toEqual([]));
  });
});
