import { expect, test } from 'vitest';
import { seededRandom } from '../core/index.ts';
import { createCaAddresses } from './ca-addresses.ts';

const addresses = ['a', 'b', 'c'].map((host) => ({ host, port: 1 }));

test('each address has its turn before any has another', () => {
  const turns = createCaAddresses(addresses, 0.5);
  const hosts = [0, 1, 2, 3].map(() => {
    const { host } = turns.current();
    turns.next();
    return host;
  });
  expect(hosts).toEqual(['b', 'c', 'a', 'b']);
});

test('a fleet begins at all of them', () => {
  const random = seededRandom(7);
  const counts = new Map<string, number>();
  for (let agent = 0; agent < 3000; agent += 1) {
    const { host } = createCaAddresses(addresses, random.fraction()).current();
    counts.set(host, (counts.get(host) ?? 0) + 1);
  }
  for (const { host } of addresses) expect(counts.get(host)).toBeGreaterThan(900);
});
