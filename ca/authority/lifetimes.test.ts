import { expect, test } from 'vitest';
import { AuthorityError } from './authority-error.ts';
import { checkLifetimes, defaultLifetimes, type Lifetimes, svidMsMax } from './lifetimes.ts';

const second = 1000;
const short: Lifetimes = {
  rootMs: 3600 * second,
  issuingMs: 20 * second,
  x509SvidMs: 10 * second,
  nodeSvidMs: 10 * second,
  backdateMs: 5 * second,
};

test.for([
  { name: 'the defaults', lifetimes: defaultLifetimes },
  { name: 'seconds, for a demonstration', lifetimes: short },
  { name: 'no backdating', lifetimes: { ...short, backdateMs: 0 } },
])('$name fit', ({ lifetimes }) => {
  expect(() => checkLifetimes(lifetimes)).not.toThrow();
});

test.for([
  {
    change: { x509SvidMs: 11 * second },
    text: 'x509Svid 11s does not fit under issuing 20s, which has 20s / 2 = 10s left',
  },
  { change: { nodeSvidMs: 3600 * second }, text: 'nodeSvid 1h does not fit under issuing 20s' },
  { change: { rootMs: 30 * second }, text: 'issuing 20s does not fit under root 30s' },
  { change: { rootMs: 4000 * 86_400 * second }, text: 'above the maximum of 3650d' },
  { change: { backdateMs: 86_400 * second }, text: 'backdate 1d is above the maximum of 1h' },
  { change: { x509SvidMs: 1500 }, text: 'is not a whole number of seconds' },
  { change: { x509SvidMs: 1000 }, text: 'x509Svid 1s is below the minimum of 2s' },
])('$change is refused: $text', ({ change, text }) => {
  expect(() => checkLifetimes({ ...short, ...change })).toThrow(text);
});

test.for([
  { name: 'that fits', jwt: { ttlMs: 5 * second, ttlMsMax: 10 * second } },
  {
    name: 'that is longer than a key has left',
    jwt: { ttlMs: 5 * second, ttlMsMax: 11 * second },
    text: 'jwt.ttlMax 11s does not fit under a JWT key, which lives as long as issuing, 20s, which has 20s / 2 = 10s left',
  },
  {
    name: 'by default that is longer than the longest',
    jwt: { ttlMs: 12 * second, ttlMsMax: 10 * second },
    text: 'jwt.ttl 12s does not fit under a JWT key',
  },
])('a token $name', ({ jwt, text }) => {
  const check = (): void => checkLifetimes(short, jwt);
  if (text === undefined) expect(check).not.toThrow();
  else expect(check).toThrow(text);
});

test('every contradiction is named at once, with a remedy', () => {
  try {
    checkLifetimes({ ...short, x509SvidMs: 15 * second, nodeSvidMs: 12 * second });
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    expect(error).toMatchObject({ code: 'lifetimes_contradict', kind: 'failed_precondition' });
    expect(error.message).toMatch(/x509Svid 15s.*nodeSvid 12s/);
    expect(error.remedy).toBeDefined();
  }
});

test('the longest SVID is half an issuing authority', () => {
  expect(svidMsMax(short)).toBe(10 * second);
});
