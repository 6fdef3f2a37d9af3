import { expect, test } from 'vitest';
import { secretTypeUrl } from '../api/index.ts';
import {
  type DeltaRequest,
  type DeltaState,
  deltaNamesWatched,
  deltaStandingsOf,
  openDelta,
  stepDelta,
} from './delta-subscription.ts';
import { nameLengthMax, namesMax } from './request-bounds.ts';
import type { SecretView } from './secret-view.ts';
import type { SubscriptionAction } from './subscription-step.ts';

/** A client by hand. A secret's version is its content; `pending` ones are on their way. */
class Stream {
  state: DeltaState = openDelta('s');
  secrets: Record<string, string>;
  pending = new Set<string>();

  constructor(secrets: Record<string, string>) {
    this.secrets = secrets;
  }

  get view(): SecretView {
    return {
      get: (name) => {
        const version = this.secrets[name];
        return version === undefined
          ? undefined
          : { version, rootKeyIds: [version], authorityKeyIds: [] };
      },
      names: () => Object.keys(this.secrets),
      isOnDemand: (name) => name.startsWith('secret:'),
      isPending: (name) => this.pending.has(name),
    };
  }

  request(more: Partial<DeltaRequest>): SubscriptionAction[] {
    return this.step({ kind: 'request', request: { ...silent, ...more }, view: this.view });
  }

  subscribe(...resourceNamesSubscribe: string[]): SubscriptionAction[] {
    return this.request({ resourceNamesSubscribe });
  }

  unsubscribe(...resourceNamesUnsubscribe: string[]): SubscriptionAction[] {
    return this.request({ resourceNamesUnsubscribe });
  }

  acknowledge(responseNonce = this.lastNonce, more: Partial<DeltaRequest> = {}) {
    return this.request({ responseNonce, ...more });
  }

  reject(responseNonce = this.lastNonce, more: Partial<DeltaRequest> = {}) {
    return this.request({ responseNonce, errorDetail: { message: 'bad' }, ...more });
  }

  change(secrets: Record<string, string>): SubscriptionAction[] {
    this.secrets = secrets;
    return this.step({ kind: 'secrets_changed', view: this.view });
  }

  step(event: Parameters<typeof stepDelta>[1]): SubscriptionAction[] {
    const { state, actions } = stepDelta(this.state, event);
    this.state = state;
    return [...actions];
  }

  get lastNonce(): string {
    return `s-${this.state.responses}`;
  }
}

const silent: DeltaRequest = {
  typeUrl: secretTypeUrl,
  resourceNamesSubscribe: [],
  resourceNamesUnsubscribe: [],
  initialResourceVersions: {},
  responseNonce: '',
  errorDetail: undefined,
};

/** What was sent: `a` for a secret, `-a` for one told to be gone. */
const sent = (actions: readonly SubscriptionAction[]): readonly string[][] =>
  actions.flatMap((action) =>
    action.kind === 'send'
      ? [[...action.names, ...action.removed.map((name) => `-${name}`)].toSorted()]
      : [],
  );
const kinds = (actions: readonly SubscriptionAction[]): string[] =>
  actions.map((action) => action.kind);

test('[D1] subscriptions are differences: each asks for more, and only what changed is sent', () => {
  const stream = new Stream({ a: '1', b: '1' });
  expect(sent(stream.subscribe('a'))).toEqual([['a']]);
  expect(sent(stream.subscribe('b'))).toEqual([['b']]);
  expect(sent(stream.change({ a: '1', b: '2' }))).toEqual([['b']]);
  expect(sent(stream.change({ a: '2', b: '3' }))).toEqual([['a', 'b']]);
  expect(stream.unsubscribe('a')).toEqual([]);
  expect(sent(stream.change({ a: '3', b: '4' }))).toEqual([['b']]);
});

test('[D3] [D4] [S5] every subscribed name is answered: the unknown and the forbidden as removed, beside the others', () => {
  const stream = new Stream({ a: '1' });
  expect(sent(stream.subscribe('a', 'nobody'))).toEqual([['-nobody', 'a']]);
  // It is still watched, and comes when it comes.
  expect(sent(stream.change({ a: '1', nobody: '1' }))).toEqual([['nobody']]);
});

test('[D4] a name is answered again though the client seems to have it: it may have dropped it meanwhile', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  stream.acknowledge();
  expect(sent(stream.subscribe('a'))).toEqual([['a']]);
  expect(sent(stream.subscribe('nobody'))).toEqual([['-nobody']]);
  expect(sent(stream.subscribe('nobody'))).toEqual([['-nobody']]);
});

test('what is on its way is answered when it is there, and as removed when it turns out to be nobody’s', () => {
  const stream = new Stream({});
  stream.pending = new Set(['a', 'b']);
  expect(stream.subscribe('a', 'b')).toEqual([]);
  stream.pending = new Set(['a']);
  expect(sent(stream.change({}))).toEqual([['-b']]);
  expect(stream.change({})).toEqual([]);
  stream.pending = new Set();
  expect(sent(stream.change({ a: '1' }))).toEqual([['a']]);
});

test('[S3] what the client has and loses is told to be removed once; what only expired for now is not', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  stream.acknowledge();
  stream.pending = new Set(['a']);
  expect(stream.change({})).toEqual([]);
  stream.pending = new Set();
  expect(sent(stream.change({}))).toEqual([['-a']]);
  expect(stream.acknowledge()).toEqual([]);
  expect(stream.change({})).toEqual([]);
  expect(sent(stream.change({ a: '1' }))).toEqual([['a']]);
});

test('[D5] [D6] a client that reconnects is sent what changed, told what is gone, and no more', () => {
  const stream = new Stream({ same: '1', changed: '2', fresh: '1' });
  const names = ['same', 'changed', 'lost', 'fresh'];
  const first = stream.request({
    resourceNamesSubscribe: names,
    initialResourceVersions: { same: '1', changed: '1', lost: '1', other: '1' },
  });
  expect(sent(first)).toEqual([['-lost', 'changed', 'fresh']]);
  // What it has by its own word counts as acknowledged, and so do the roots in it.
  expect(stream.state.held.get('same')).toMatchObject({
    reply: 'acknowledged',
    used: { rootKeyIds: ['1'] },
  });
  // A name it had and does not ask for any more is nobody's business.
  expect(stream.state.held.has('other')).toBe(false);
});

test('[D5] a client that reconnects with everything as it is, is sent nothing at all', () => {
  const stream = new Stream({ a: '1', b: '1' });
  const initialResourceVersions = { a: '1', b: '1' };
  const resourceNamesSubscribe = ['a', 'b'];
  expect(stream.request({ resourceNamesSubscribe, initialResourceVersions })).toEqual([]);
  expect(sent(stream.change({ a: '1', b: '2' }))).toEqual([['b']]);
});

test.for([
  ['a text of any length', 'v'.repeat(250_000), ''],
  ['what our versions never are', 'ABCDEF0123456789abcdef0123456789', ''],
  [
    'a version that could be ours',
    '0123456789abcdef0123456789abcdef',
    '0123456789abcdef0123456789abcdef',
  ],
] as const)(
  '%s as an initial version is answered, and kept only if it may be true',
  ([, said, kept]) => {
    const stream = new Stream({ a: '1' });
    const actions = stream.request({
      resourceNamesSubscribe: ['a'],
      initialResourceVersions: { a: said },
    });
    expect(sent(actions)).toEqual([['a']]);
    expect(stream.state.held.get('a')?.used?.version).toBe(kept);
  },
);

test('[D7] initial versions count on the first message alone', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  const later = stream.request({
    resourceNamesSubscribe: ['b'],
    initialResourceVersions: { b: '1' },
  });
  expect(sent(later)).toEqual([['b']]);
});

test('[D2] one message may acknowledge, unsubscribe and subscribe', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  const actions = stream.acknowledge(stream.lastNonce, {
    resourceNamesSubscribe: ['b'],
    resourceNamesUnsubscribe: ['a'],
  });
  expect(kinds(actions)).toEqual(['acknowledged', 'send']);
  expect(sent(actions)).toEqual([['b']]);
  expect(deltaNamesWatched(stream.state)).toEqual(['b']);
});

test('[D2] one message may reject and subscribe', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  const actions = stream.reject(stream.lastNonce, { resourceNamesSubscribe: ['b'] });
  expect(kinds(actions)).toEqual(['rejected', 'send']);
  expect(sent(actions)).toEqual([['b']]);
});

test('a name in both lists of a message ends up subscribed, and answered', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  const both = { resourceNamesSubscribe: ['a'], resourceNamesUnsubscribe: ['a'] };
  expect(sent(stream.request(both))).toEqual([['a']]);
});

test('an acknowledgement is answered with nothing', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  expect(kinds(stream.acknowledge())).toEqual(['acknowledged']);
  expect(stream.acknowledge()).toEqual([]);
});

test('after a rejection nothing is sent until the content changes', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  stream.acknowledge();
  expect(sent(stream.change({ a: '2' }))).toEqual([['a']]);
  expect(kinds(stream.reject())).toEqual(['rejected']);
  expect(stream.reject()).toEqual([]);
  expect(stream.change({ a: '2' })).toEqual([]);
  // The client goes on with what it accepted.
  expect(stream.state.held.get('a')?.used?.version).toBe('1');
  expect(deltaStandingsOf(stream.state)).toMatchObject([{ name: 'a', state: 'refused' }]);
  expect(sent(stream.change({ a: '3' }))).toEqual([['a']]);
  stream.acknowledge();
  expect(stream.state.held.get('a')?.used?.version).toBe('3');
});

test('what was refused for the sake of another comes again with what replaces that', () => {
  const refused = (): Stream => {
    const stream = new Stream({ good: '1', bad: '1', other: '1' });
    stream.subscribe('good', 'bad');
    stream.reject();
    stream.subscribe('other');
    return stream;
  };
  expect(sent(refused().change({ good: '1', bad: '2', other: '1' }))).toEqual([['bad', 'good']]);
  expect(sent(refused().change({ good: '1', other: '1' }))).toEqual([['-bad', 'good']]);
  expect(sent(refused().unsubscribe('bad'))).toEqual([['good']]);
  expect(refused().unsubscribe('bad', 'good')).toEqual([]);
});

test('what was told to be gone beside a secret that is refused is told again with what replaces that', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a', 'b');
  stream.acknowledge();
  // One response: b as bad, a as gone. The client takes nothing of it, and goes on with both.
  expect(sent(stream.change({ b: 'bad' }))).toEqual([['-a', 'b']]);
  stream.reject();
  expect(stream.change({ b: 'bad' })).toEqual([]);
  expect(sent(stream.change({ b: '2' }))).toEqual([['-a', 'b']]);
  stream.acknowledge();
  // Agreed to, and so told once.
  expect(sent(stream.change({ b: '3' }))).toEqual([['b']]);
  expect([...stream.state.held.keys()]).toEqual(['b']);
});

test('a refusal that comes after the culprit was replaced leaves the others not wanting', () => {
  const stream = new Stream({ good: '1', bad: '1' });
  stream.subscribe('good', 'bad');
  const first = stream.lastNonce;
  expect(sent(stream.change({ good: '1', bad: '2' }))).toEqual([['bad']]);
  const actions = stream.reject(first);
  expect(kinds(actions)).toEqual(['rejected', 'send']);
  expect(sent(actions)).toEqual([['good']]);
  // Alone it can only be refused for itself, and is not sent again.
  expect(kinds(stream.reject())).toEqual(['rejected']);
});

test('going back to what was accepted before is a change', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  stream.acknowledge();
  stream.change({ a: '2' });
  stream.reject();
  expect(sent(stream.change({ a: '1' }))).toEqual([['a']]);
});

test('a stale or foreign nonce says nothing, but what is subscribed beside it counts', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  const old = stream.lastNonce;
  stream.change({ a: '2', b: '1' });
  const { held } = stream.state;
  expect(stream.acknowledge(old)).toEqual([]);
  expect(stream.reject(old)).toEqual([]);
  expect(stream.reject('another-1')).toEqual([]);
  expect(stream.state.held).toBe(held);
  expect(sent(stream.reject(old, { resourceNamesSubscribe: ['b'] }))).toEqual([['b']]);
});

test('a nonce speaks for what was sent with it, though other secrets were sent since', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  const first = stream.lastNonce;
  stream.subscribe('b');
  expect(kinds(stream.acknowledge(first))).toEqual(['acknowledged']);
  expect(deltaStandingsOf(stream.state)).toMatchObject([
    { name: 'a', state: 'acknowledged' },
    { name: 'b', state: 'sent' },
  ]);
});

test('a first message that subscribes to nothing asks for everything', () => {
  const stream = new Stream({ a: '1', b: '1' });
  expect(sent(stream.request({}))).toEqual([['a', 'b']]);
  expect(sent(stream.change({ a: '1', b: '1', c: '1' }))).toEqual([['c']]);
  expect(sent(stream.change({ a: '1', c: '1' }))).toEqual([['-b']]);
  // A later message with nothing in it is none.
  expect(stream.request({})).toEqual([]);
});

test('a name after nothing is added to everything; nothing after names adds nothing', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.request({});
  expect(sent(stream.subscribe('nobody'))).toEqual([['-nobody']]);
  expect(sent(stream.change({ a: '2', b: '1' }))).toEqual([['a']]);
  const named = new Stream({ a: '1', b: '1' });
  named.subscribe('a');
  expect(named.request({})).toEqual([]);
  expect(named.change({ a: '1', b: '2' })).toEqual([]);
});

test('a wildcard comes and goes by the name *, and names of their own stay', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  expect(sent(stream.subscribe('*'))).toEqual([['a', 'b']]);
  expect(stream.unsubscribe('*')).toEqual([]);
  expect(sent(stream.change({ a: '2', b: '2' }))).toEqual([['a']]);
});

test('a name that is unsubscribed under a wildcard is answered as the wildcard has it', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('*', 'a', 'nobody');
  expect(sent(stream.unsubscribe('a', 'nobody'))).toEqual([['-nobody', 'a']]);
  expect(sent(stream.change({ a: '2' }))).toEqual([['a']]);
});

test('a client that reconnects under a wildcard is sent what changed and told what is gone', () => {
  const stream = new Stream({ a: '1', b: '2' });
  const initialResourceVersions = { a: '1', b: '1', c: '1' };
  expect(sent(stream.request({ initialResourceVersions }))).toEqual([['-c', 'b']]);
});

test('names that a client claims under a wildcard are known for what they may cost', () => {
  const stream = new Stream({ a: '1' });
  stream.request({
    resourceNamesSubscribe: ['*', 'a'],
    initialResourceVersions: { a: '1', lost: '1' },
  });
  expect([...stream.state.claimed]).toEqual(['lost']);
  const { claimed } = stream.state;
  stream.subscribe('b');
  expect(stream.state.claimed).toBe(claimed);
});

test('[D9] an operator’s word sends it again, under a new nonce, whatever was answered before', () => {
  const stream = new Stream({ a: '1', b: '1' });
  stream.subscribe('a');
  stream.reject();
  stream.subscribe('b');
  const before = stream.lastNonce;
  const resend = (wanted: string) =>
    stream.step({ kind: 'resend', matches: (name) => name === wanted, view: stream.view });
  expect(sent(resend('a'))).toEqual([['a']]);
  expect(stream.lastNonce).not.toBe(before);
  expect(resend('c')).toEqual([]);
});

test('a slow client gets the newest state once', () => {
  const stream = new Stream({ a: '1' });
  stream.subscribe('a');
  // Changes that nobody stepped the machine for, as while the client did not read.
  for (const version of ['2', '3', '4']) stream.secrets = { a: version };
  expect(sent(stream.step({ kind: 'secrets_changed', view: stream.view }))).toEqual([['a']]);
  expect(stream.state.held.get('a')?.sent.version).toBe('4');
});

const manyNames = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);
const many = manyNames(namesMax + 1);

test.for([
  ['sds_type_url', { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' }],
  ['sds_names', { resourceNamesSubscribe: many }],
  ['sds_names', { resourceNamesUnsubscribe: many }],
  ['sds_names', { initialResourceVersions: Object.fromEntries(many.map((name) => [name, '1'])) }],
  ['sds_name_length', { resourceNamesSubscribe: ['x'.repeat(nameLengthMax + 1)] }],
  ['sds_name_length', { initialResourceVersions: { ['x'.repeat(nameLengthMax + 1)]: '1' } }],
] as const)('%s fails the stream', ([code, request]) => {
  const stream = new Stream({ a: '1' });
  expect(stream.request(request)).toMatchObject([{ kind: 'fail', error: { code } }]);
});

test('the bound holds for a stream as for a message, and leaving makes room', () => {
  const stream = new Stream({});
  stream.subscribe(...manyNames(namesMax));
  expect(stream.subscribe('n0')).toMatchObject([{ kind: 'send' }]);
  const [failed] = stream.subscribe('more');
  expect(failed).toMatchObject({ kind: 'fail', error: { code: 'sds_names' } });
  stream.unsubscribe('n0');
  expect(sent(stream.subscribe('more'))).toEqual([['-more']]);
});

test('a secret that is fetched for whoever names it is told as gone when it is unsubscribed under a wildcard', () => {
  const stream = new Stream({ a: '1' });
  stream.request({});
  stream.pending.add('secret:db');
  expect(stream.subscribe('secret:db')).toEqual([]);
  expect(stream.unsubscribe('secret:db')).toMatchObject([{ kind: 'send', removed: ['secret:db'] }]);
  // Another that the wildcard may come to have is waited for.
  stream.pending.add('b');
  stream.subscribe('b');
  expect(stream.unsubscribe('b')).toEqual([]);
});

test('names that are unsubscribed before they were answered count too', () => {
  const stream = new Stream({ a: '1' });
  stream.request({});
  const namesOf = (round: number) =>
    Array.from({ length: 600 }, (_, index) => `n${round}-${index}`);
  for (const name of [...namesOf(0), ...namesOf(1)]) stream.pending.add(name);
  expect(stream.subscribe(...namesOf(0))).toEqual([]);
  expect(stream.unsubscribe(...namesOf(0))).toEqual([]);
  expect(stream.subscribe(...namesOf(1))).toMatchObject([
    { kind: 'fail', error: { code: 'sds_names' } },
  ]);
  stream.pending.clear();
  stream.change({ a: '1' });
  expect(stream.subscribe(...namesOf(1))).toMatchObject([{ kind: 'send' }]);
});
