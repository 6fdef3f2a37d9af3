import { describe, expect, test } from 'vitest';
import { silentLogger, seededRandom } from '../../core/index.ts';
import { RpcError } from '../../rpc/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import type { AgentEntry } from '../ca-state.ts';
import { HeldSecret, type SecretApi, ticketKeysName } from './held-secret.ts';

const entry: AgentEntry = {
  id: 'entry-1',
  spiffeId: parseSpiffeId('spiffe://mesh.test/web'),
  selectors: ['unix:uid:1'],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
};
const startMs = Date.parse('2026-11-22T12:00:00Z');

/** A CA that has one secret and one set of keys, and fails as it is told. */
class OneSecret implements SecretApi {
  version = 1n;
  value = 'one';
  fault: RpcError | undefined;
  reads = 0;
  refreshAtMs = startMs + 3_600_000;
  /** What went over the wire. */
  readonly wire: Buffer[] = [];
  /** Resolved by the test, if it is there. */
  hold: Promise<void> | undefined;

  async readSecret() {
    this.reads += 1;
    const { version, value } = this;
    await this.hold;
    if (this.fault !== undefined) throw this.fault;
    const bytes = Buffer.from(value);
    this.wire.push(bytes);
    return { version, values: { '': bytes } };
  }

  async sessionTicketKeys() {
    this.reads += 1;
    if (this.fault !== undefined) throw this.fault;
    return { keys: [Buffer.alloc(80, this.reads)], refreshAtMs: BigInt(this.refreshAtMs) };
  }
}

function open(name = 'db') {
  const ca = new OneSecret();
  const clock = new ManualClock(startMs);
  const deps = { api: () => ca, clock, random: seededRandom(1), log: silentLogger };
  const held = new HeldSecret(entry, name, 1n, deps);
  const bytes = (): Uint8Array | undefined => {
    const now = held.value.current();
    if (now.kind === 'named') return now.secret.values.get('');
    return now.kind === 'ticket_keys' ? now.ticketKeys.keys[0] : undefined;
  };
  const text = (): string => Buffer.from(bytes() ?? []).toString();
  return { ca, clock, held, bytes, text };
}

const away = new RpcError('unavailable', 'away', 'nobody there');
const withheld = new RpcError('permission_denied', 'secret_not_entitled', 'not yours');

describe('a secret that is held', () => {
  test('is read once, and again for each version that is pushed', async () => {
    const { ca, clock, held, text } = open();
    await clock.advance(0);
    expect(text()).toBe('one');
    held.pushed(1n);
    await clock.advance(3_600_000);
    expect(ca.reads).toBe(1);
    Object.assign(ca, { version: 2n, value: 'two' });
    held.pushed(2n);
    await clock.advance(0);
    expect(text()).toBe('two');
    expect(ca.reads).toBe(2);
  });

  test('leaves zeros behind: on the wire, when it is replaced, and when it is let go', async () => {
    const { ca, clock, held, bytes } = open();
    await clock.advance(0);
    const first = bytes();
    expect(first).toHaveLength(3);
    expect(ca.wire[0]).toEqual(Buffer.alloc(3));
    let seenWhole = false;
    // A reader has the next one while the one before is still whole: it may be encoding it.
    held.value.subscribe(() => {
      seenWhole = first?.some((byte) => byte !== 0) ?? false;
    });
    Object.assign(ca, { version: 2n, value: 'two' });
    held.pushed(2n);
    await clock.advance(0);
    expect(seenWhole).toBe(true);
    expect(first).toEqual(new Uint8Array(3));
    const second = bytes();
    expect(second).not.toEqual(new Uint8Array(3));
    held.close();
    expect(second).toEqual(new Uint8Array(3));
  });

  test('stays as it is while the CA is away, and is asked for less and less often', async () => {
    const { ca, clock, held, text } = open();
    await clock.advance(0);
    ca.fault = away;
    held.pushed(2n);
    await clock.advance(10 * 60_000);
    expect(text()).toBe('one');
    expect(ca.reads).toBeGreaterThan(10);
    expect(ca.reads).toBeLessThan(60);
    Object.assign(ca, { fault: undefined, version: 2n, value: 'two' });
    held.reconnected();
    await clock.advance(0);
    expect(text()).toBe('two');
  });

  test('is gone when the CA says so, and asked for again after a while and when there is a new version', async () => {
    const { ca, clock, held, bytes, text } = open();
    await clock.advance(0);
    const first = bytes();
    ca.fault = withheld;
    held.pushed(2n);
    await clock.advance(0);
    expect(held.value.current()).toEqual({ kind: 'denied' });
    expect(first).toEqual(new Uint8Array(3));
    held.pushed(2n);
    await clock.advance(0);
    expect(ca.reads).toBe(2);
    await clock.advance(6 * 60_000);
    expect(ca.reads).toBe(3);
    ca.fault = undefined;
    held.pushed(3n);
    await clock.advance(0);
    expect(text()).toBe('one');
  });

  test('that was pushed while it was being read is read again; what comes after it was let go is zeros', async () => {
    const { ca, clock, held, text } = open();
    await clock.advance(0);
    const gate = Promise.withResolvers<void>();
    ca.hold = gate.promise;
    held.pushed(2n);
    Object.assign(ca, { version: 3n, value: 'three' });
    held.pushed(3n);
    gate.resolve();
    await clock.advance(0);
    expect(text()).toBe('three');
    const late = Promise.withResolvers<void>();
    ca.hold = late.promise;
    held.pushed(4n);
    held.close();
    late.resolve();
    await clock.advance(0);
    expect(ca.wire.at(-1)).toEqual(Buffer.alloc(5));
    expect(text()).toBe('\0\0\0\0\0');
  });
});

test('ticket keys are read again soon after they are due, and never in a loop', async () => {
  const { ca, clock, bytes } = open(ticketKeysName);
  await clock.advance(0);
  expect(bytes()).toEqual(new Uint8Array(80).fill(1));
  await clock.advance(3_590_000);
  expect(ca.reads).toBe(1);
  // A CA whose clock is behind names a time that is over.
  await clock.advance(5 * 60_000);
  expect(bytes()?.[0]).toBeGreaterThan(1);
  const before = ca.reads;
  await clock.advance(10_000);
  expect(ca.reads - before).toBeLessThanOrEqual(20);
});
