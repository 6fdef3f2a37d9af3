/**
 * Both machines of SDS against the model of a correct client, in any order of requests, deliveries and changes: at
 * the end the client has the server's newest state, and the two have fallen silent. Each property is a function of
 * how often it is tried: a little all day, and often in the full run.
 */

import fc from 'fast-check';
import { expect } from 'vitest';
import { secretTypeUrl } from '../../api/index.ts';
import { type DeltaRequest, openDelta, stepDelta } from '../../sds-server/delta-subscription.ts';
import type { SecretView } from '../../sds-server/secret-view.ts';
import {
  openSubscription,
  stepSubscription,
  type SubscriptionRequest,
} from '../../sds-server/subscription.ts';
import type {
  SubscriptionAction,
  SubscriptionEvent,
  SubscriptionStep,
} from '../../sds-server/subscription-step.ts';

/** What the server has: a version, nothing (`absent`: unknown or forbidden), or one on its way (`pending`). */
type Content = string;

class Server<State, Request> {
  readonly contents = new Map<string, Content>();
  state: State;
  readonly #step: (state: State, event: SubscriptionEvent<Request>) => SubscriptionStep<State>;
  /** A response leaves only when the client has read the one before: the state is looked at anew then. */
  blocked = false;

  constructor(
    state: State,
    step: (state: State, event: SubscriptionEvent<Request>) => SubscriptionStep<State>,
  ) {
    this.state = state;
    this.#step = step;
  }

  get view(): SecretView {
    const ready = (name: string): string | undefined => {
      const content = this.contents.get(name);
      return content === 'absent' || content === 'pending' ? undefined : content;
    };
    return {
      get: (name) => {
        const version = ready(name);
        return version === undefined ? undefined : { version, rootKeyIds: [], authorityKeyIds: [] };
      },
      names: () =>
        [...this.contents.keys()].filter(
          (name) => name !== onDemandName && ready(name) !== undefined,
        ),
      isOnDemand: (name) => name === onDemandName,
      isPending: (name) => this.contents.get(name) === 'pending',
    };
  }

  step(event: SubscriptionEvent<Request>): readonly SubscriptionAction[] {
    const { state, actions } = this.#step(this.state, event);
    this.state = state;
    return actions;
  }
}

interface Response {
  readonly nonce: string;
  readonly version: string;
  readonly secrets: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

type Move =
  | { readonly kind: 'subscribe'; readonly names: readonly string[] }
  | { readonly kind: 'unsubscribe'; readonly names: readonly string[] }
  /** With what it has, and perhaps what it has from elsewhere: another server, another time, its own invention. */
  | { readonly kind: 'reconnect'; readonly claims: Readonly<Record<string, string>> }
  | { readonly kind: 'resend'; readonly name: string }
  | { readonly kind: 'change'; readonly name: string; readonly content: Content }
  /** The server reads one request, and the client one response. */
  | { readonly kind: 'server_reads' }
  | { readonly kind: 'client_reads' };

/** Fetched for whoever names it, and no part of everything. */
const onDemandName = 'd';
const names = ['a', 'b', 'c', onDemandName];
const someNames = fc.subarray(names, { minLength: 1 });
// Two as long as versions are: what is claimed may come true.
const contents: readonly Content[] = [hex('1'), hex('2'), '3', 'bad', 'absent', 'pending'];
/** One that the server may have now, may have later, or never has. */
const claimed = fc.constantFrom('1', '2', hex('1'), hex('2'), hex('f'), 'no version', '');
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('subscribe'), names: someNames }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unsubscribe'), names: someNames }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('reconnect'),
      claims: fc.dictionary(fc.constantFrom(...names), claimed, { maxKeys: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('resend'), name: fc.constantFrom(...names) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('change'),
      name: fc.constantFrom(...names),
      content: fc.constantFrom(...contents),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('server_reads') }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('client_reads') }) },
) as fc.Arbitrary<Move>;
const moves = fc.array(move, { maxLength: 60 });
const isWildcard = fc.boolean();

/** What both protocols' clients do alike. Each refuses a secret of the version `bad`, as Envoy does a bad key. */
abstract class Client<State, Request> {
  readonly server: Server<State, Request>;
  readonly requests: Request[] = [];
  readonly responses: Response[] = [];
  readonly wanted = new Set<string>();
  readonly held = new Map<string, string>();
  wildcard = false;
  sent = 0;
  readonly nonces = new Set<string>();

  constructor(server: Server<State, Request>) {
    this.server = server;
  }

  abstract subscribe(names: readonly string[]): void;
  abstract unsubscribe(names: readonly string[]): void;
  abstract reconnect(claims: Readonly<Record<string, string>>): void;
  abstract take(response: Response): void;

  play(next: Move): void {
    if (next.kind === 'subscribe') this.subscribe(next.names);
    else if (next.kind === 'unsubscribe') this.unsubscribe(next.names);
    else if (next.kind === 'reconnect') this.reconnect(next.claims);
    else if (next.kind === 'server_reads') this.serverReads();
    else if (next.kind === 'client_reads') this.clientReads();
    else if (next.kind === 'change') {
      this.server.contents.set(next.name, next.content);
      if (!this.server.blocked) this.changed();
    } else if (!this.server.blocked) {
      const { view } = this.server;
      this.deliver(
        this.server.step({ kind: 'resend', matches: (name) => name === next.name, view }),
      );
    }
  }

  serverReads(): void {
    const request = this.server.blocked ? undefined : this.requests.shift();
    if (request === undefined) return;
    this.deliver(this.server.step({ kind: 'request', request, view: this.server.view }));
  }

  clientReads(): void {
    const response = this.responses.shift();
    if (response === undefined) return;
    this.take(response);
    this.server.blocked = false;
    this.changed();
  }

  changed(): void {
    this.deliver(this.server.step({ kind: 'secrets_changed', view: this.server.view }));
  }

  deliver(actions: readonly SubscriptionAction[]): void {
    for (const action of actions) {
      expect(action.kind).not.toBe('fail');
      if (action.kind !== 'send') continue;
      expect(this.server.blocked).toBe(false);
      expect(this.nonces.has(action.nonce)).toBe(false);
      // Envoy takes an empty response for an error.
      expect(action.names.length + action.removed.length).toBeGreaterThan(0);
      this.nonces.add(action.nonce);
      this.server.blocked = true;
      this.sent += 1;
      this.responses.push({
        nonce: action.nonce,
        version: action.version,
        secrets: new Map(
          action.names.map((name) => [name, this.server.view.get(name)?.version ?? '']),
        ),
        removed: action.removed,
      });
    }
  }

  /** Lets both sides do all they have to do. More than a few steps would be a loop. */
  settle(): void {
    for (let left = stepsMax; this.requests.length + this.responses.length > 0; left -= 1) {
      expect(left).toBeGreaterThan(0);
      this.serverReads();
      this.clientReads();
    }
  }

  /** All that the client asked for and may have, it has in the newest version, but for what it refused. */
  expectNewest(): void {
    const visible = new Set([...this.wanted, ...(this.wildcard ? this.server.view.names() : [])]);
    for (const name of visible) {
      const version = this.server.view.get(name)?.version;
      if (version !== undefined && version !== 'bad') expect(this.held.get(name)).toBe(version);
    }
  }

  /** What is fetched on demand it has only while it names it, also if it asks for everything. */
  expectNothingUnasked(): void {
    if (!this.wanted.has(onDemandName)) expect(this.held.has(onDemandName)).toBe(false);
  }

  /** Nothing moves any more, whatever is said again. */
  expectSilence(): void {
    const { sent } = this;
    this.changed();
    this.settle();
    expect(this.sent).toBe(sent);
  }
}

class DeltaClient extends Client<ReturnType<typeof openDelta>, DeltaRequest> {
  #streams = 1;

  constructor(wildcard: boolean) {
    super(new Server(openDelta('stream-1'), stepDelta));
    this.wildcard = wildcard;
    // A wildcard is a first message that names nothing; else the first message is the first subscription.
    if (wildcard) this.ask({});
  }

  ask(more: Partial<DeltaRequest>): void {
    this.requests.push({
      typeUrl: secretTypeUrl,
      resourceNamesSubscribe: [],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: {},
      responseNonce: '',
      errorDetail: undefined,
      ...more,
    });
  }

  override subscribe(resourceNamesSubscribe: readonly string[]): void {
    for (const name of resourceNamesSubscribe) this.wanted.add(name);
    this.ask({ resourceNamesSubscribe });
  }

  override unsubscribe(left: readonly string[]): void {
    const resourceNamesUnsubscribe = left.filter((name) => this.wanted.delete(name));
    if (resourceNamesUnsubscribe.length === 0) return;
    for (const name of resourceNamesUnsubscribe) if (!this.wildcard) this.held.delete(name);
    this.ask({ resourceNamesUnsubscribe });
  }

  override reconnect(claims: Readonly<Record<string, string>>): void {
    this.#streams += 1;
    this.server.state = openDelta(`stream-${this.#streams}`);
    this.server.blocked = false;
    this.requests.length = 0;
    this.responses.length = 0;
    // Nothing wanted is nothing to connect for.
    if (!this.wildcard && this.wanted.size === 0) return;
    for (const [name, version] of Object.entries(claims)) {
      if (this.wildcard || this.wanted.has(name)) this.held.set(name, version);
    }
    this.ask({
      resourceNamesSubscribe: [...(this.wildcard ? ['*'] : []), ...this.wanted],
      initialResourceVersions: Object.fromEntries(this.held),
    });
  }

  override take({ nonce, secrets, removed }: Response): void {
    const bad = [...secrets.values()].includes('bad');
    for (const [name, version] of bad ? [] : secrets) {
      if (this.wildcard || this.wanted.has(name)) this.held.set(name, version);
    }
    for (const name of bad ? [] : removed) this.held.delete(name);
    this.ask({ responseNonce: nonce, errorDetail: bad ? { message: 'bad' } : undefined });
  }
}

class WorldClient extends Client<ReturnType<typeof openSubscription>, SubscriptionRequest> {
  #streams = 1;
  #nonce = '';
  #version = '';

  constructor(wildcard: boolean) {
    super(new Server(openSubscription('stream-1'), stepSubscription));
    this.wildcard = wildcard;
    if (wildcard) this.ask();
  }

  ask(errorDetail?: { message: string }): void {
    this.requests.push({
      typeUrl: secretTypeUrl,
      versionInfo: this.#version,
      resourceNames: [...(this.wildcard ? ['*'] : []), ...this.wanted],
      responseNonce: this.#nonce,
      errorDetail,
    });
  }

  override subscribe(more: readonly string[]): void {
    for (const name of more) this.wanted.add(name);
    this.ask();
  }

  override unsubscribe(left: readonly string[]): void {
    const gone = left.filter((name) => this.wanted.delete(name));
    for (const name of gone) if (!this.wildcard) this.held.delete(name);
    if (gone.length > 0) this.ask();
  }

  override reconnect(claims: Readonly<Record<string, string>>): void {
    this.#streams += 1;
    this.server.state = openSubscription(`stream-${this.#streams}`);
    this.server.blocked = false;
    this.requests.length = 0;
    this.responses.length = 0;
    this.#nonce = '';
    // The newest claim is as good as another: a version says nothing on a new stream.
    this.#version = Object.values(claims).at(-1) ?? this.#version;
    if (this.wildcard || this.wanted.size > 0) this.ask();
  }

  override take({ nonce, version, secrets }: Response): void {
    const bad = [...secrets.values()].includes('bad');
    this.#nonce = nonce;
    if (!bad) this.#version = version;
    for (const [name, held] of bad ? [] : secrets) {
      if (this.wildcard || this.wanted.has(name)) this.held.set(name, held);
    }
    this.ask(bad ? { message: 'bad' } : undefined);
  }
}

export const protocols = [
  ['delta', (wildcard: boolean) => new DeltaClient(wildcard)],
  ['state of the world', (wildcard: boolean) => new WorldClient(wildcard)],
] as const;

/** A correct client converges to the newest state, without loops. */
export function checkConvergence(connect: (typeof protocols)[number][1], numRuns: number): void {
  fc.assert(
    fc.property(isWildcard, moves, (wildcard, all) => {
      const client = connect(wildcard);
      for (const next of all) client.play(next);
      client.settle();
      // One refusal refuses all that came with it; what replaces the bad one brings the others along.
      for (const [name, content] of client.server.contents) {
        if (content === 'bad') client.server.contents.set(name, '9');
      }
      client.changed();
      client.settle();
      client.expectNewest();
      if (client instanceof DeltaClient) client.expectNothingUnasked();
      client.expectSilence();
    }),
    { numRuns },
  );
}

/** By delta, what the client may not see any more it does not keep. */
export function checkWithdrawal(numRuns: number): void {
  fc.assert(
    fc.property(isWildcard, moves, (wildcard, all) => {
      const client = new DeltaClient(wildcard);
      for (const next of all) client.play(next);
      client.settle();
      for (const name of names) client.server.contents.set(name, 'absent');
      client.changed();
      client.settle();
      expect([...client.held]).toEqual([]);
      client.expectSilence();
    }),
    { numRuns },
  );
}

/** Nothing is ever sent on an acknowledgement or a refusal alone. */
export function checkSilence(numRuns: number): void {
  fc.assert(
    fc.property(moves, fc.boolean(), (all, refuses) => {
      const client = new DeltaClient(false);
      for (const next of all) client.play(next);
      // A first message without names would ask for everything.
      client.subscribe(['a']);
      client.settle();
      const { sent } = client;
      for (const responseNonce of [...client.nonces, 'another']) {
        client.ask({ responseNonce, errorDetail: refuses ? { message: 'no' } : undefined });
        client.serverReads();
      }
      expect(client.sent).toBe(sent);
    }),
    { numRuns },
  );
}

function hex(digit: string): string {
  return digit.repeat(32);
}

// Each request brings one response at most, and each response one request, which brings none.
const stepsMax = 300;
