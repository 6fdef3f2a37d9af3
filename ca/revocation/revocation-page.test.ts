import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Revocation } from './revocation.ts';
import { pageOf } from './revocation-page.ts';

const revocation = (serial: string, revokedAtMs: number): Revocation => ({
  serial,
  spiffeId: 'spiffe://mesh.test/web',
  issuerKeyId: 'aa',
  notAfterMs: 9e9,
  reason: 'unspecified',
  revokedAtMs,
  actor: { kind: 'admin', id: 'uid:0' },
});

function serialsOf(all: readonly Revocation[], limit: number): string[] {
  const met: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = pageOf(all, { after, limit });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    met.push(...page.items.map(({ serial }) => serial));
    if (page.next === undefined) return met;
    after = page.next;
  }
}

test('the newest come first, each once, whatever the size of a page', () => {
  const some = fc.uniqueArray(
    fc.tuple(
      fc.nat().map((n) => n.toString(16)),
      fc.nat(5),
    ),
    {
      selector: ([serial]) => serial,
      maxLength: 20,
    },
  );
  fc.assert(
    fc.property(some, fc.integer({ min: 1, max: 7 }), (drawn, limit) => {
      const all = drawn.map(([serial, atMs]) => revocation(serial, atMs));
      const whole = serialsOf(all, 100);
      expect(serialsOf(all, limit)).toEqual(whole);
      expect(whole.toSorted()).toEqual(all.map(({ serial }) => serial).toSorted());
      const times = whole.map((each) => drawn.find(([serial]) => serial === each)?.[1] ?? 0);
      expect(times).toEqual(times.toSorted((left, right) => right - left));
    }),
  );
});

test('a page goes on though the one it began after is forgotten', () => {
  const all = [revocation('0a', 3), revocation('0b', 2), revocation('0c', 1)];
  const { next } = pageOf(all, { limit: 2 });
  const left = all.filter(({ serial }) => serial !== '0b');
  expect(pageOf(left, { after: next, limit: 2 }).items).toMatchObject([{ serial: '0c' }]);
});
