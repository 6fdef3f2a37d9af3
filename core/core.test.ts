import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { backoffMs } from './backoff.ts';
import { fromBase64, fromHex, toBase64, toHex, utf8Bytes, utf8Text } from './bytes.ts';
import { systemClock, sleep } from './clock.ts';
import {
  addressField,
  ConfigError,
  durationField,
  parseConfig,
  socketPathField,
} from './config.ts';
import { formatDurationMs, parseDurationMs } from './duration.ts';
import { CodedError, describeError, exitCodeOf } from './errors.ts';
import { FileError, readText, replaceFile } from './files.ts';
import { canonicalJson, type Json } from './json.ts';
import { Scope } from './lifecycle.ts';
import { seededRandom } from './random.ts';
import { firstValue, WatchSource } from './watch.ts';

class Fault extends CodedError<'fault'> {
  override readonly name = 'Fault';
  override readonly kind = 'not_found';
}
class OurFault extends CodedError<'ours'> {
  override readonly name = 'OurFault';
  override readonly kind = 'internal';
}

test('an error is one line: the message, its causes once each, the remedy', () => {
  const inner = new Error('disk\n is full');
  const error = new Fault('fault', 'cannot save', { cause: inner, remedy: 'free some space' });
  expect(describeError(error)).toBe('cannot save: disk is full; free some space');
  expect(describeError('text')).toBe('text');
});

test("the exit code is 2 for the user's fault and 1 for ours", () => {
  expect(exitCodeOf(new Fault('fault', ''))).toBe(2);
  expect(exitCodeOf(new OurFault('ours', ''))).toBe(1);
  expect(exitCodeOf(new Error(''))).toBe(1);
});

const schema = z.strictObject({
  ttl: durationField,
  listen: addressField,
  socket: socketPathField.optional(),
  peers: z.array(z.string()).default([]),
});

test('config is parsed into domain values and frozen', () => {
  const config = parseConfig('ttl: 10s\nlisten: ":7443"\npeers: [a]', 'f.yaml', schema);
  expect(config).toEqual({ ttl: 10_000, listen: { host: '::', port: 7443 }, peers: ['a'] });
  expect(Object.isFrozen(config.peers)).toBe(true);
});

test('every fault of a config is told at once, with line and column', () => {
  const text = `ttl: soon\nlisten: here\nsocket: ${'/x'.repeat(60)}\nlisten_adress: 1\npeers:\n  - 1\n`;
  const error = faultsOf(text);
  expect(error.faults.map(({ path, line, column }) => [path, line, column])).toEqual([
    ['ttl', 1, 6],
    ['listen', 2, 9],
    ['socket', 3, 9],
    ['listen_adress', 4, 1],
    ['peers[0]', 6, 5],
  ]);
  expect(error.message).toContain(
    'f.yaml:4:1: listen_adress: unknown key; known here: ttl, listen, socket, peers',
  );
  expect(exitCodeOf(error)).toBe(2);
});

test('a key that is near a known one, and one that is missing, are told as what they are', () => {
  const nested = z.strictObject({
    lifetimes: z.strictObject({ root: z.string(), leaf: z.string().optional() }).optional(),
    listeners: z.array(z.union([z.strictObject({ port: z.number() }), z.string()])),
    peers: z.record(z.string(), z.strictObject({ address: z.string() }).default({ address: '' })),
  });
  const text = 'lifetimes: { rot: x }\nlisteners: []\npeers: { a: { adress: b } }\nlisten: []\n';
  expect(faultsOf(text, nested).faults.map(({ path, reason }) => [path, reason])).toEqual([
    ['lifetimes.root', 'is required (of type string)'],
    ['lifetimes.rot', 'unknown key; did you mean root?'],
    ['peers.a.address', 'is required (of type string)'],
    ['peers.a.adress', 'unknown key; did you mean address?'],
    ['listen', 'unknown key; known here: lifetimes, listeners, peers'],
  ]);
});

test.for(['0012', '12e34', '1'.repeat(64), '0'.repeat(64)])('the hash %s stays text', (hash) => {
  const hashes = z.strictObject({ hash: z.string(), count: z.number(), share: z.number() });
  const text = `hash: ${hash}\ncount: 12\nshare: 1.0\n`;
  expect(parseConfig(text, 'f.yaml', hashes)).toEqual({ hash, count: 12, share: 1 });
});

test('text that is no YAML is refused with its place', () => {
  expect(faultsOf('ttl: [1, 2\nlisten: x').faults[0]?.line).toBeGreaterThan(0);
  expect(faultsOf('ttl: 1s\nttl: 2s').message).toContain('f.yaml:2:1');
});

function faultsOf(text: string, of: z.ZodType = schema): ConfigError {
  try {
    parseConfig(text, 'f.yaml', of);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the config was accepted');
}

test.for([
  ['10s', 10_000],
  ['250ms', 250],
  ['5m', 300_000],
  ['24h', 86_400_000],
  ['365d', 31_536_000_000],
  ['10', undefined],
  ['1.5h', undefined],
  ['-1s', undefined],
  ['1h30m', undefined],
  ['', undefined],
] as const)('the duration %s is %s ms', ([text, expected]) => {
  expect(parseDurationMs(text)).toBe(expected);
});

test('a duration is written in its two largest units', () => {
  expect([90_000, 86_400_000, 0, 3_661_001].map(formatDurationMs)).toEqual([
    '1m30s',
    '1d',
    '0s',
    '1h1m',
  ]);
});

test('hexadecimal and base64 come back as they went', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(fromHex(toHex(bytes))).toEqual(bytes);
      expect(fromBase64(toBase64(bytes))).toEqual(bytes);
    }),
  );
  for (const bad of ['a', 'zz', '0x00']) expect(fromHex(bad)).toBeUndefined();
  for (const bad of ['a', 'YQ', 'YQ==\n', 'Y Q=']) expect(fromBase64(bad)).toBeUndefined();
  expect(utf8Text(utf8Bytes('žluť'))).toBe('žluť');
  expect(utf8Text(Uint8Array.of(0xff))).toBeUndefined();
});

test('canonical JSON does not depend on the order of keys', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).toReversed());
      const text = canonicalJson(value as Json);
      expect(canonicalJson(reversed as Json)).toBe(text);
      expect(canonicalJson(JSON.parse(text) as Json)).toBe(text);
    }),
  );
});

test('backoff grows, is jittered by half, and stops at its ceiling', () => {
  const random = seededRandom(1);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const ceiling = Math.min(2000, 100 * 2 ** attempt);
    const delay = backoffMs({ baseMs: 100, maxMs: 2000 }, attempt, random);
    expect(delay).toBeGreaterThanOrEqual(ceiling / 2);
    expect(delay).toBeLessThanOrEqual(ceiling);
  }
});

test('a watcher that throws keeps no other from the value', () => {
  const source = new WatchSource(0);
  const seen: number[] = [];
  source.subscribe(() => {
    throw new Error('first');
  });
  const stop = source.subscribe((value) => seen.push(value));
  expect(() => source.set(1)).toThrow(AggregateError);
  stop();
  expect(() => source.set(2)).toThrow(AggregateError);
  expect(seen).toEqual([1]);
});

test('the first value that fits is waited for, or the wait is given up', async () => {
  const source = new WatchSource<number | undefined>(undefined);
  const isNumber = (value: number | undefined): value is number => value !== undefined;
  const waiting = firstValue(source, isNumber);
  source.set(7);
  expect(await waiting).toBe(7);
  const controller = new AbortController();
  const never = firstValue(
    new WatchSource<number | undefined>(undefined),
    isNumber,
    controller.signal,
  );
  controller.abort(new Error('enough'));
  await expect(never).rejects.toThrow('enough');
});

test('a scope closes everything once, in reverse, even past a failure', async () => {
  const order: string[] = [];
  const scope = new Scope();
  scope.onClose(() => void order.push('a'));
  scope.onClose(() => {
    throw new Error('b');
  });
  scope.onClose(() => void order.push('c'));
  await expect(scope.close()).rejects.toBeInstanceOf(AggregateError);
  await expect(scope.close()).rejects.toBeInstanceOf(AggregateError);
  expect(order).toEqual(['c', 'a']);
});

test('a sleep ends early when it is aborted', async () => {
  const controller = new AbortController();
  const asleep = sleep(systemClock, 3_600_000, controller.signal);
  controller.abort();
  await asleep;
  await sleep(systemClock, 3_600_000, controller.signal);
});

test('a file is replaced whole, with its mode; a missing one is named', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'core-'));
  try {
    const path = join(directory, 'f');
    await replaceFile(path, 'one');
    await replaceFile(path, 'two');
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await expect(readText(join(directory, 'none'))).rejects.toBeInstanceOf(FileError);
    await expect(readText(join(directory, 'none'))).rejects.toThrow(join(directory, 'none'));
    await expect(replaceFile(join(directory, 'no', 'f'), 'x')).rejects.toMatchObject({
      code: 'file_unwritable',
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a seeded source repeats itself', () => {
  const draw = (): number[] => {
    const random = seededRandom(42);
    return [random.fraction(), random.fraction(), ...random.bytes(4)];
  };
  expect(draw()).toEqual(draw());
});
