import fc from 'fast-check';
import { expect, test } from 'vitest';
import { secretTypeUrl } from '../api/index.ts';
import { nameLengthMax, namesMax } from './request-bounds.ts';
import type { SecretView } from './secret-view.ts';
import {
  openSubscription,
  stepSubscription,
  type SubscriptionRequest,
  type SubscriptionState,
} from './subscription.ts';
import type { SubscriptionAction } from './subscription-step.ts';

/** A client, a server and the secrets between them, with the machine's actions as they come. */
class Stream {
  state: SubscriptionState = openSubscription('s');
  secrets: Record<string, string>;

  constructor(secrets: Record<string, string>) {
    this.secrets = secrets;
  }

  get view(): SecretView {
    return {
      get: (name) => {
        const version = this.secrets[name];
        return version === undefined ? undefined : { version, rootKeyIds: [], authorityKeyIds: [] };
      },
      names: () => Object.keys(this.secrets),
      isOnDemand: () => false,
      isPending: () => false,
    };
  }

  request(resourceNames: string[], more: Partial<SubscriptionRequest> = {}): SubscriptionAction[] {
    return this.step({
      kind: 'request',
      request: {
        versionInfo: '',
        typeUrl: secretTypeUrl,
        responseNonce: '',
        errorDetail: undefined,
        resourceNames,
        ...more,
      },
      view: this.view,
    });
  }

  acknowledge(names: string[], nonce = this.state.last?.nonce ?? ''): SubscriptionAction[] {
    return this.request(names, { responseNonce: nonce });
  }

  reject(names: string[], nonce = this.state.last?.nonce ?? ''): SubscriptionAction[] {
    return this.request(names, { responseNonce: nonce, errorDetail: { message: 'bad' } });
  }

  change(secrets: Record<string, string>): SubscriptionAction[] {
    this.secrets = secrets;
    return this.step({ kind: 'secrets_changed', view: this.view });
  }

  step(event: Parameters<typeof stepSubscription>[1]): SubscriptionAction[] {
    const { state, actions } = stepSubscription(this.state, event);
    this.state = state;
    return [...actions];
  }
}

const sends = (actions: readonly SubscriptionAction[]): readonly string[][] =>
  actions.flatMap((action) => (action.kind === 'send' ? [[...action.names]] : []));
const kinds = (actions: readonly SubscriptionAction[]): string[] =>
  actions.map((action) => action.kind);

test('[W3] [W6] what is asked for and ready is sent; its acknowledgement is answered with nothing', () => {
  const stream = new Stream({ a: '1', b: '1' });
  expect(sends(stream.request(['a']))).toEqual([['a']]);
  expect(kinds(stream.acknowledge(['a']))).toEqual(['acknowledged']);
  expect(stream.acknowledge(['a'])).toEqual([]);
  expect(stream.change({ a: '1', b: '2' })).toEqual([]);
  expect(sends(stream.change({ a: '2', b: '2' }))).toEqual([['a']]);
});

test('[W7] after a rejection nothing is sent until the content changes', () => {
  const stream = new Stream({ a: '1' });
  stream.request(['a']);
  expect(kinds(stream.reject(['a']))).toEqual(['rejected']);
  expect(stream.state.last?.reply).toBe('rejected');
  expect(stream.change({ a: '1' })).toEqual([]);
  expect(sends(stream.change({ a: '2' }))).toEqual([['a']]);
  expect(kinds(stream.acknowledge(['a']))).toEqual(['acknowledged']);
  expect(stream.state.acknowledged?.secrets.get('a')?.version).toBe('2');
});

test('what was refused together and is not all there any more is sent without what is gone', () => {
  const stream = new Stream({ good: '1', bad: '1' });
  stream.request(['good', 'bad']);
  stream.reject(['good', 'bad']);
  expect(sends(stream.change({ good: '1' }))).toEqual([['good']]);
  // The refusal may come after the change, and alone it is refused for itself.
  const late = new Stream({ good: '1', bad: '1' });
  late.request(['good', 'bad']);
  late.change({ good: '1' });
  expect(sends(late.reject(['good', 'bad']))).toEqual([['good']]);
  expect(sends(late.reject(['good', 'bad']))).toEqual([]);
});

test('a rejection leaves the last acknowledged response standing', () => {
  const stream = new Stream({ a: '1' });
  stream.request(['a']);
  stream.acknowledge(['a']);
  stream.change({ a: '2' });
  stream.reject(['a']);
  expect(stream.state.acknowledged?.secrets.get('a')?.version).toBe('1');
});

test('what was rejected may be acknowledged later, by its version', () => {
  const stream = new Stream({ a: '1' });
  stream.request(['a']);
  stream.reject(['a']);
  const { nonce = '', version = '' } = stream.state.last ?? {};
  expect(stream.request(['a'], { responseNonce: nonce, versionInfo: 'older' })).toEqual([]);
  expect(kinds(stream.request(['a'], { responseNonce: nonce, versionInfo: version }))).toEqual([
    'acknowledged',
  ]);
  expect(stream.reject(['a'])).toEqual([]);
});

test('[W4] a stale nonce is ignored, whatever else the request says', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.request(['a']);
  const old = stream.state.last?.nonce ?? '';
  stream.change({ a: '2', b: '1' });
  const { state } = stream;
  expect(stream.acknowledge(['b'], old)).toEqual([]);
  expect(stream.reject(['a'], old)).toEqual([]);
  expect(stream.acknowledge(['a'], 'of another stream')).toEqual([]);
  expect(stream.state).toEqual(state);
});

test('[W5] a changed set of names is answered, also with the same version; the same set in another order is not', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.request(['a', 'b']);
  expect(stream.acknowledge(['b', 'a', 'a']).filter(({ kind }) => kind === 'send')).toEqual([]);
  expect(sends(stream.acknowledge(['a']))).toEqual([['a']]);
  const version = stream.state.last?.version;
  // A name that is not ready changes the set, not the content.
  expect(sends(stream.acknowledge(['a', 'later']))).toEqual([['a']]);
  expect(stream.state.last?.version).toBe(version);
});

test('an acknowledgement that also changes the names is both', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.request(['a']);
  expect(kinds(stream.acknowledge(['a', 'b']))).toEqual(['acknowledged', 'send']);
});

test('a rejection that also changes the names is answered', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.request(['a']);
  expect(kinds(stream.reject(['b']))).toEqual(['rejected', 'send']);
});

test('[W8] a request without a nonce knows nothing and is answered', () => {
  const stream = new Stream({ a: '1' });
  expect(sends(stream.request(['a']))).toEqual([['a']]);
  expect(sends(stream.request(['a']))).toEqual([['a']]);
  // A reconnected client brings the nonce of a stream that is gone.
  const again = new Stream({ a: '1' });
  expect(sends(again.request(['a'], { responseNonce: 'old-7' }))).toEqual([['a']]);
});

test('[W10] nothing is sent for names that are not ready; they follow when they are', () => {
  const stream = new Stream({ a: '1' });
  expect(sends(stream.request(['a', 'b', 'forbidden']))).toEqual([['a']]);
  expect(sends(stream.change({ a: '1', b: '1' }))).toEqual([['a', 'b']]);

  const empty = new Stream({});
  expect(empty.request(['a'])).toEqual([]);
  expect(empty.change({ b: '1' })).toEqual([]);
  expect(sends(empty.change({ a: '1', b: '1' }))).toEqual([['a']]);
});

test('[W9] no names after names is an unsubscription; no names at first is everything', () => {
  const stream = new Stream({ a: '1' });
  stream.request(['a']);
  expect(kinds(stream.acknowledge([]))).toEqual(['acknowledged']);
  expect(stream.change({ a: '2' })).toEqual([]);
  expect(stream.acknowledge([])).toEqual([]);
  expect(sends(stream.acknowledge(['a']))).toEqual([['a']]);

  const never = new Stream({});
  never.request(['a']);
  never.request([]);
  expect(never.request([])).toEqual([]);
  expect(never.change({ a: '1' })).toEqual([]);

  const all = new Stream({ a: '1', b: '1' });
  expect(sends(all.request([]))).toEqual([['a', 'b']]);
  expect(kinds(all.acknowledge([]))).toEqual(['acknowledged']);
  expect(sends(all.change({ a: '1', b: '1', c: '1' }))).toEqual([['a', 'b', 'c']]);
});

test('[W11] [S3] a secret that is gone is not announced; the client keeps it', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.request(['a', 'b']);
  stream.acknowledge(['a', 'b']);
  expect(stream.change({ a: '1' })).toEqual([]);
  expect(stream.change({ a: '1', b: '1' })).toEqual([]);
  expect(sends(stream.change({ a: '1', b: '2' }))).toEqual([['a', 'b']]);
});

test.for([
  ['sds_type_url', { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' }],
  ['sds_names', { resourceNames: Array.from({ length: namesMax + 1 }, (_, i) => `${i}`) }],
  ['sds_name_length', { resourceNames: ['x'.repeat(nameLengthMax + 1)] }],
] as const)('%s fails the stream', ([code, request]) => {
  const stream = new Stream({ a: '1' });
  const [action] = stream.request([], { ...request });
  expect(action).toMatchObject({ kind: 'fail', error: { code, kind: 'invalid_argument' } });
});

test('the bounds themselves and an implied type are accepted', () => {
  const names = Array.from({ length: namesMax }, (_, i) => `${i}`.padEnd(nameLengthMax, 'x'));
  const stream = new Stream({ [names[0] ?? '']: '1' });
  expect(sends(stream.request(names, { typeUrl: '' }))).toEqual([[names[0]]]);
});

// A model client against the machine, in any interleaving of requests, replies and changes.
type Move =
  | { kind: 'ask'; names: string[] }
  | { kind: 'reply'; names: string[] | undefined; accept: boolean; stale: boolean }
  | { kind: 'change'; name: string; version: string | undefined };

const names = ['a', 'b', 'c'];
const someNames = fc.subarray(names);
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('ask' as const), names: someNames }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('reply' as const),
      names: fc.option(someNames, { nil: undefined, freq: 3 }),
      accept: fc.boolean(),
      stale: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      name: fc.constantFrom(...names),
      version: fc.constantFrom('1', '2', '3', undefined),
    }),
  },
);

test('[W2] in any order of events: nonces are fresh, silence where silence is due, and nobody is left with old secrets', () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const stream = new Stream({ a: '1' });
      const nonces = new Set<string>();
      const delivered = new Map<string, string>();
      let asked: string[] | 'all' | undefined;

      for (const next of moves) {
        const before = stream.state;
        const actions = play(stream, next, asked);
        asked = askedAfter(asked, next, before);

        expect(actions.filter(({ kind }) => kind === 'send').length).toBeLessThanOrEqual(1);
        for (const action of actions) {
          if (action.kind !== 'send') continue;
          expect(nonces.has(action.nonce)).toBe(false);
          nonces.add(action.nonce);
          expect(action.names.length).toBeGreaterThan(0);
          for (const name of action.names) {
            expect(asked === 'all' || asked?.includes(name)).toBe(true);
            delivered.set(name, stream.secrets[name] ?? 'gone');
          }
        }
        // Rules 1 to 3: a reply with the same names is never answered by a push, unless what was refused is
        // not all there any more.
        const gone = [...(before.last?.secrets.keys() ?? [])].some(
          (name) => stream.secrets[name] === undefined,
        );
        const refuses = next.kind === 'reply' && !next.accept && gone;
        if (
          next.kind === 'reply' &&
          next.names === undefined &&
          before.last !== undefined &&
          !refuses
        ) {
          expect(sends(actions)).toEqual([]);
        }
        // Whatever is wanted and ready has been delivered in its present version.
        for (const name of wantedNow(asked, stream)) {
          const version = stream.secrets[name];
          if (version !== undefined) expect(delivered.get(name)).toBe(version);
        }
      }
    }),
    { numRuns: 500 },
  );
});

function play(stream: Stream, next: Move, asked: string[] | 'all' | undefined) {
  if (next.kind === 'ask') return stream.request(next.names);
  if (next.kind === 'change') {
    const { [next.name]: _old, ...rest } = stream.secrets;
    return stream.change(
      next.version === undefined ? rest : { ...rest, [next.name]: next.version },
    );
  }
  if (stream.state.last === undefined) return [];
  const resourceNames = next.names ?? (asked === 'all' || asked === undefined ? [] : asked);
  const nonce = next.stale ? 'stale' : stream.state.last.nonce;
  return next.accept
    ? stream.acknowledge(resourceNames, nonce)
    : stream.reject(resourceNames, nonce);
}

function askedAfter(
  asked: string[] | 'all' | undefined,
  next: Move,
  before: SubscriptionState,
): string[] | 'all' | undefined {
  if (next.kind === 'change') return asked;
  if (next.kind === 'reply' && (before.last === undefined || next.stale)) return asked;
  if (next.names === undefined) return asked;
  if (next.names.length > 0) return next.names;
  if (asked === undefined) return 'all';
  return asked === 'all' ? 'all' : [];
}

function wantedNow(asked: string[] | 'all' | undefined, stream: Stream): string[] {
  return asked === 'all' ? Object.keys(stream.secrets) : (asked ?? []);
}
