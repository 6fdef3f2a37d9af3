import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { createJoinToken, type JoinToken, joinTokenIdOf, useJoinToken } from './join-token.ts';

const nowMs = Date.UTC(2030, 0, 1);
const nodeId = parseSpiffeId('spiffe://mesh.test/signet/node/join-token/1');
const key = 'a'.repeat(64);
const otherKey = 'b'.repeat(64);
const month = 30 * 86_400_000;
const { text, token } = createJoinToken({ random: seededRandom(1), nowMs, ttlMs: 600_000 });

describe('join token', () => {
  test('the record holds its hash, and nothing to attest with', () => {
    expect(text).toMatch(/^[0-9a-f]{16}\.[A-Za-z0-9_-]{43}$/);
    expect(token.id).toBe(text.slice(0, 16));
    expect(token).toEqual({
      id: token.id,
      tokenSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 600_000,
    });
    expect(JSON.stringify(token)).not.toContain(text.slice(17));
  });

  test('two tokens have nothing in common', () => {
    const random = seededRandom(2);
    const [one, two] = [0, 1].map(() => createJoinToken({ random, nowMs, ttlMs: 1 }).text);
    expect(one).not.toBe(two);
  });

  test('the first use binds it to the node and its key', () => {
    expect(use(token)).toEqual({
      kind: 'first_use',
      token: { ...token, used: { nodeId, spkiSha256: key, atMs: nowMs } },
    });
  });

  test.for([
    { name: 'in its last moment', at: 599_999, kind: 'first_use' },
    { name: 'as it expires', at: 600_000, kind: 'token_expired' },
    { name: 'long after', at: 900_000_000, kind: 'token_expired' },
  ])('a first use $name', ({ at, kind }) => {
    expect(kindOf(use(token, { nowMs: nowMs + at }))).toBe(kind);
  });

  test.for([
    { name: 'the same key at once', by: key, at: 0, has: 'no place', kind: 'repeat' },
    { name: 'the same key, expired', by: key, at: 599_999, has: 'no place', kind: 'repeat' },
    { name: 'the same key later', by: key, at: 600_000, has: 'no place', kind: 'token_used' },
    { name: 'the same key a month later', by: key, at: month, has: 'its place', kind: 'repeat' },
    { name: 'another key at once', by: otherKey, at: 0, has: 'no place', kind: 'token_used' },
    { name: 'another key', by: otherKey, at: 1, has: 'its place', kind: 'token_used' },
    { name: 'another key later', by: otherKey, at: month, has: 'its place', kind: 'token_used' },
  ])('a second use by a node with $has: $name', ({ by, at, has, kind }) => {
    const first = use(token, { nowMs: nowMs + 500_000 });
    if (first.kind !== 'first_use') throw new Error('the first use was refused');
    const isRegistered = has === 'its place';
    const again = { spkiSha256: by, isRegistered, nowMs: nowMs + 500_000 + at };
    expect(kindOf(use(first.token, again))).toBe(kind);
  });

  test.for([
    { name: 'no such id', stored: undefined, given: text },
    { name: 'another secret', stored: token, given: `${token.id}.${'A'.repeat(43)}` },
    { name: 'a space after it', stored: token, given: `${text} ` },
    { name: 'only its id', stored: token, given: token.id },
  ])('one answer for whatever is not known: $name', ({ stored, given }) => {
    expect(use(stored, { text: given })).toEqual({
      kind: 'refused',
      code: 'token_unknown',
      detail: 'no such join token; it may have been mistyped or removed',
    });
  });

  test('a refusal never repeats the secret', () => {
    const expired = use(token, { nowMs: nowMs + 600_000 });
    expect(JSON.stringify(expired)).not.toContain(text.slice(17));
  });

  test.for([
    [text, token.id],
    [`${text}x`, undefined],
    [` ${text}`, undefined],
    [text.toUpperCase(), undefined],
    [token.id, undefined],
    ['', undefined],
    ['x'.repeat(100_000), undefined],
  ])('the id in a text: %#', ([given = '', expected]) => {
    expect(joinTokenIdOf(given)).toBe(expected);
  });
});

function use(
  stored: JoinToken | undefined,
  change: { text?: string; spkiSha256?: string; isRegistered?: boolean; nowMs?: number } = {},
) {
  const first = { text, spkiSha256: key, nodeId, isRegistered: false, nowMs };
  return useJoinToken(stored, { ...first, ...change });
}

function kindOf(verdict: ReturnType<typeof use>): string {
  return verdict.kind === 'refused' ? verdict.code : verdict.kind;
}
