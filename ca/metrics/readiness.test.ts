import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { generateKeyPair, keySigner, leafTemplate } from '../../pki/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import type { Issuer } from '../authority/issuer.ts';
import type { JwtKey } from '../authority/jwt-key.ts';
import type { CurrentJwtKey } from '../authority/jwt-keys.ts';
import { Outcomes } from './outcomes.ts';
import { createPrometheusMetrics } from './prometheus-metrics.ts';
import { createReadiness, type Readiness } from './readiness.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const key = keySigner(generateKeyPair('ec-p256').privateKey);
let directory = '';
let clock: ManualClock;
let outcomes: { audit: Outcomes; store: Outcomes };
let issuer: () => Issuer;
let clockFault: Error | undefined;
let currentKey: () => CurrentJwtKey;
let listedKeys: readonly JwtKey[];
let ask: () => Promise<Readiness>;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signet-ready-'));
  clock = new ManualClock(nowMs);
  outcomes = { audit: new Outcomes(clock), store: new Outcomes(clock) };
  clockFault = undefined;
  currentKey = () => ({ kid: 'c3', signer: key, notAfterMs: nowMs + 3_600_000 });
  listedKeys = [];
  issuer = () => issuerWith({});
  const readiness = createReadiness({
    clock,
    random: seededRandom(1),
    authorities: { issuer: () => issuer() },
    jwtKeys: { current: () => currentKey(), list: () => listedKeys },
    ...outcomes,
    directory,
    clockFault: () => clockFault,
  });
  ask = async () => {
    // Past the moment for which one answer serves all.
    await clock.advance(1000);
    return readiness();
  };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function issuerWith(changes: Partial<Issuer>): Issuer {
  const keyId = new Uint8Array(20);
  const name = new Uint8Array([0x30, 0x00]);
  return {
    id: 'a1',
    rootId: 'b2',
    signer: key,
    keyId,
    name,
    template: leafTemplate({
      issuerName: name,
      issuerKeyId: keyId,
      signatureAlgorithm: key.algorithm,
    }),
    notBeforeMs: nowMs - 1000,
    notAfterMs: nowMs + 3_600_000,
    chain: [],
    root: new Uint8Array(),
    ...changes,
  };
}

const ready: Readiness = { isReady: true, reasons: [] };

test.for<[string, () => Issuer, RegExp]>([
  [
    'does not sign',
    () =>
      issuerWith({
        signer: { ...key, sign: () => Promise.reject(new Error('the token was pulled out')) },
      }),
    /^the key of a1 does not sign: the token was pulled out$/,
  ],
  [
    'is gone',
    () => {
      throw new AuthorityError('authority_ended', 'no issuing authority is active');
    },
    /no issuing authority is active/,
  ],
  [
    'is at its end',
    () => issuerWith({ notAfterMs: nowMs + 2000 }),
    /a1 ends at .* not been replaced/,
  ],
  [
    'has not begun',
    () => issuerWith({ notBeforeMs: nowMs + 3_600_000, notAfterMs: nowMs + 7_200_000 }),
    /a1 begins only at .*: nothing is issued/,
  ],
])('not ready while the signer %s, and ready again when it is back', async ([, broken, reason]) => {
  expect(await ask()).toEqual(ready);
  issuer = broken;
  expect(await ask()).toEqual({ isReady: false, reasons: [expect.stringMatching(reason)] });
  issuer = () => issuerWith({});
  expect(await ask()).toEqual(ready);
});

test('not ready while the JWT key does not sign, or none does and none waits for the nodes', async () => {
  const good = currentKey;
  expect(await ask()).toEqual(ready);
  const broken = { ...key, sign: () => Promise.reject(new Error('the token was pulled out')) };
  currentKey = () => ({ ...good(), signer: broken });
  expect((await ask()).reasons).toEqual(['JWT key c3 does not sign: the token was pulled out']);
  currentKey = () => {
    throw new AuthorityError('authority_ended', 'the key that signs JWT-SVIDs has ended');
  };
  expect((await ask()).reasons).toEqual(['the key that signs JWT-SVIDs has ended']);
  // Nodes could not say that they have it to a CA that was taken out of service.
  const prepared = { id: 'd4', publicKey: key.publicKey, preparedAtMs: nowMs, notAfterMs: nowMs };
  listedKeys = [{ ...prepared, state: 'prepared' }];
  expect(await ask()).toEqual(ready);
});

test('not ready while the data directory cannot be written, and ready again; no probe file stays', async () => {
  expect(await ask()).toEqual(ready);
  rmSync(directory, { recursive: true });
  expect(await ask()).toEqual({
    isReady: false,
    reasons: [expect.stringMatching(/cannot be written: .*ENOENT/)],
  });
  mkdirSync(directory);
  expect(await ask()).toEqual(ready);
  expect(readdirSync(directory)).toEqual([]);
});

test.for(['audit', 'store'] as const)(
  'not ready after a failed write of the %s, and ready after one that was kept',
  async (which) => {
    const metrics = createPrometheusMetrics();
    const measures = {
      seconds: metrics.histogram({ name: 'signet_ca_x_seconds', help: 'x', buckets: [1] }),
      failures: metrics.counter({ name: 'signet_ca_x_total', help: 'x' }),
    };
    const write = (step: () => Promise<void>): Promise<void> =>
      outcomes[which].follow(step, measures);
    await write(async () => {});
    expect(await ask()).toEqual(ready);
    await expect(write(() => Promise.reject(new Error('ENOSPC')))).rejects.toThrow('ENOSPC');
    expect(await ask()).toEqual({
      isReady: false,
      reasons: [expect.stringMatching(/failed just now: ENOSPC/)],
    });
    await write(async () => {});
    expect(await ask()).toEqual(ready);
  },
);

test('not ready while the clock is wrong; every fault is told, and one answer serves a moment', async () => {
  clockFault = new Error('the clock went back');
  rmSync(directory, { recursive: true });
  expect((await ask()).reasons).toEqual([
    expect.stringContaining('cannot be written'),
    'the clock went back',
  ]);
  clockFault = undefined;
  mkdirSync(directory);
  expect(await ask()).toEqual(ready);
});
