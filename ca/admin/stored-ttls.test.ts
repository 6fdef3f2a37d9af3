import { expect, test } from 'vitest';
import { type Logger, seededRandom, silentLogger } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { eventually } from '../../test/fakes/eventually.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { defaultLifetimes } from '../authority/lifetimes.ts';
import { createRegistry } from '../registry/registry.ts';
import { startTtlCheck } from './stored-ttls.ts';

const hour = 3_600_000;

async function setUp() {
  const registry = createRegistry({
    store: new MemoryStore(),
    trustDomain: parseTrustDomain('mesh.test'),
    clock: new ManualClock(0),
    random: seededRandom(1),
  });
  const entry = (path: string, ttls: object) =>
    registry.createEntry({
      spiffeId: `spiffe://mesh.test/${path}`,
      parentId: 'spiffe://mesh.test/n',
      selectors: ['unix:uid:1'],
      ...ttls,
    });
  const warnings: object[] = [];
  const log: Logger = {
    ...silentLogger,
    warn: (message, fields) => void warnings.push({ message, ...fields }),
  };
  const check = (issuingMs: number) =>
    startTtlCheck({
      registry,
      lifetimes: { ...defaultLifetimes, issuingMs },
      jwt: { lifetimes: { ttlMs: 60_000, ttlMsMax: hour } },
      log,
    });
  return { registry, entry, warnings, check };
}

test('an entry or a rule whose life the config has become too short for is named, and nothing else', async () => {
  const { registry, entry, warnings, check } = await setUp();
  const long = await entry('long', { x509SvidTtlMs: 4 * hour });
  const token = await entry('token', { jwtSvidTtlMs: 2 * hour });
  await entry('usual', { x509SvidTtlMs: hour, jwtSvidTtlMs: hour });
  await entry('silent', {});
  const rule = await registry.createRule({
    template: 'spiffe://{td}/ns/{k8s.ns}',
    selectors: ['unix:uid:1'],
    nodeSelectors: [],
    x509SvidTtlMs: 4 * hour,
  });
  const checking = check(6 * hour);
  await eventually(() => expect(warnings).toHaveLength(3));
  expect(warnings).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        kind: 'entries',
        id: long.id,
        name: 'spiffe://mesh.test/long',
        reason: expect.stringMatching(/^x509SvidTtlMs: 4h does not fit under .* 6h, .* 3h left/),
      }),
      expect.objectContaining({ id: token.id, reason: expect.stringMatching(/^jwtSvidTtlMs: 2h/) }),
      expect.objectContaining({ kind: 'rules', id: rule.id, name: 'spiffe://{td}/ns/{k8s.ns}' }),
    ]),
  );
  await checking.close();
});

test('where everything fits nothing is said', async () => {
  const { entry, warnings, check } = await setUp();
  await entry('long', { x509SvidTtlMs: 4 * hour });
  await check(8 * hour).close();
  const checking = check(8 * hour);
  await eventually(async () => {
    await checking.close();
    expect(warnings).toEqual([]);
  });
});

test('of very many the first are named, and all are counted', async () => {
  const { entry, warnings, check } = await setUp();
  for (let index = 0; index < 25; index += 1) await entry(`e${index}`, { x509SvidTtlMs: 4 * hour });
  const checking = check(6 * hour);
  await eventually(() => expect(warnings).toHaveLength(21));
  expect(warnings.at(-1)).toMatchObject({ kind: 'entries', count: 25 });
  await checking.close();
});
