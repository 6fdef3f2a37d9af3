/**
 * One delta stream as a pure machine: (state, event) → (state, actions).
 *
 * The rules, from the xDS protocol:
 *
 *  1. subscriptions are differences and are always applied, whatever the nonce beside them says;
 *  2. every name of a subscription is answered, also if the server thinks the client has it: the client may
 *     have dropped it between an unsubscription and this. What is unknown, or another's, is answered as removed;
 *     what is on its way is answered when it is there, because Envoy takes "removed" for "go on without";
 *  3. on the first message of a stream `initial_resource_versions` says what a client that reconnected has: that
 *     is not sent again, and what it has and may not see any more is told to be removed;
 *  4. an ACK is answered with nothing; after a NACK nothing is sent until the content changes, and then all that
 *     was refused together, what was told to be gone too: a client takes the whole of a response or nothing of it;
 *  5. a nonce speaks for the secrets that were last sent with it; an older or unknown one says nothing;
 *  6. a first message that subscribes to nothing asks for everything, as the name `*` does at any time, until
 *     `*` is unsubscribed; a name that is unsubscribed under a wildcard is answered as the wildcard has it;
 *  7. a client that is slow gets the newest state once.
 */

import { checkNameCount, checkNames, checkTypeUrl, SubscriptionError } from './request-bounds.ts';
import { isVersion, versionOfSecrets } from './resource.ts';
import type { SecretSummary, SecretView } from './secret-view.ts';
import {
  type StandingNow,
  type SubscriptionEvent,
  type SubscriptionStep,
  wildcardName,
} from './subscription-step.ts';

/** The fields of a DeltaDiscoveryRequest that matter here. */
export interface DeltaRequest {
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  readonly initialResourceVersions: Readonly<Record<string, string>>;
  readonly responseNonce: string;
  readonly errorDetail: { readonly message: string } | undefined;
}

/** A secret that the client has, or will have once it has read what is under way; or {@link gone}, until it agrees. */
export interface HeldSecret {
  readonly sent: SecretSummary;
  readonly nonce: string;
  /** How many secrets were sent with it under that nonce, itself among them. */
  readonly together: number;
  readonly reply: 'awaited' | 'acknowledged' | 'rejected';
  /** The newest that was acknowledged: a client that rejects a newer one goes on with it. */
  readonly used: SecretSummary | undefined;
}

export interface DeltaState {
  /** Random per stream, so that a nonce of another stream is never taken for one of this. */
  readonly streamId: string;
  readonly begun: boolean;
  readonly wildcard: boolean;
  readonly names: ReadonlySet<string>;
  readonly held: ReadonlyMap<string, HeldSecret>;
  /** Names of the first message that are not spelt out, and that the client has by its own word. */
  readonly claimed: ReadonlySet<string>;
  /** Names that must be answered though nothing changes: asked for, and on their way. */
  readonly owed: ReadonlySet<string>;
  readonly responses: number;
}

export function openDelta(streamId: string): DeltaState {
  return {
    streamId,
    begun: false,
    wildcard: false,
    names: new Set(),
    held: new Map(),
    claimed: noNames,
    owed: new Set(),
    responses: 0,
  };
}

export function stepDelta(state: DeltaState, event: SubscriptionEvent<DeltaRequest>): Step {
  const { view } = event;
  if (event.kind === 'request') return onRequest(state, event.request, view);
  if (event.kind === 'secrets_changed') return answer(state, watchedNow(state, view), view);
  const again = heldNames(state).filter(event.matches);
  return answer({ ...state, owed: new Set([...state.owed, ...again]) }, again, view);
}

/** All that the client watches: under a wildcard that is whatever it holds. */
export function deltaNamesWatched(state: DeltaState): readonly string[] {
  return state.wildcard ? [...new Set([...state.names, ...heldNames(state)])] : [...state.names];
}

export function deltaStandingsOf({ held }: DeltaState): readonly StandingNow[] {
  const present = [...held].filter(([, { sent }]) => sent !== gone);
  return present.map(([name, { sent, reply }]) => ({
    name,
    secret: sent,
    state: reply === 'awaited' ? 'sent' : reply === 'rejected' ? 'refused' : 'acknowledged',
  }));
}

function onRequest(state: DeltaState, request: DeltaRequest, view: SecretView): Step {
  try {
    checkRequest(state, request);
  } catch (error) {
    if (!(error instanceof SubscriptionError)) throw error;
    return { state, actions: [{ kind: 'fail', error }] };
  }
  const replied = onReply(state, request);
  const { state: changed, touched } = subscribe(replied.state, request, view);
  const due = [...replied.due, ...touched];
  // Rule 4 is this: a reply touches no name.
  const answered = answer(changed, due, view);
  return { state: answered.state, actions: [...replied.actions, ...answered.actions] };
}

function checkRequest(state: DeltaState, request: DeltaRequest): void {
  const { resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions } = request;
  checkTypeUrl(request.typeUrl);
  checkNames(resourceNamesSubscribe);
  checkNames(resourceNamesUnsubscribe);
  checkNames(Object.keys(initialResourceVersions));
  const added = resourceNamesSubscribe.filter((name) => !state.names.has(name));
  const left = resourceNamesUnsubscribe.filter((name) => state.names.has(name));
  // What was unsubscribed and is not answered yet counts too, or a client that goes back and forth had no bound.
  const unanswered = [...state.owed].filter((name) => !state.names.has(name));
  checkNameCount(state.names.size + unanswered.length + new Set(added).size - new Set(left).size);
}

/** Rule 5. A repeated answer changes nothing; a client may come to accept what it rejected. */
function onReply(
  state: DeltaState,
  { responseNonce, errorDetail }: DeltaRequest,
): Step & { readonly due: readonly string[] } {
  if (responseNonce === '') return { state, actions: [], due: [] };
  const reply = errorDetail === undefined ? 'acknowledged' : 'rejected';
  const answered = [...state.held].filter(
    ([, held]) =>
      held.nonce === responseNonce &&
      (held.reply === 'awaited' || (held.reply === 'rejected' && reply === 'acknowledged')),
  );
  if (answered.length === 0) return { state, actions: [], due: [] };
  const held = new Map(state.held);
  for (const [name, secret] of answered) {
    if (secret.sent === gone && reply === 'acknowledged') held.delete(name);
    else
      held.set(name, { ...secret, reply, used: reply === 'rejected' ? secret.used : secret.sent });
  }
  const present = answered.filter(([, { sent }]) => sent !== gone);
  const version = versionOfSecrets(present.map(([name, { sent }]) => [name, sent]));
  // What is refused may be a secret that was replaced since: then the others are not to blame, and come again.
  const isWhole = answered.every(([, { together }]) => together === answered.length);
  const due = reply === 'rejected' && !isWhole ? answered.map(([name]) => name) : [];
  return {
    state: { ...state, held, owed: new Set([...state.owed, ...due]) },
    due,
    actions:
      errorDetail !== undefined
        ? [{ kind: 'rejected', version, detail: errorDetail.message }]
        : present.length > 0
          ? [{ kind: 'acknowledged', version }]
          : [],
  };
}

/** The subscription after a request, and the names that it touched. */
function subscribe(
  state: DeltaState,
  request: DeltaRequest,
  view: SecretView,
): { readonly state: DeltaState; readonly touched: readonly string[] } {
  const { resourceNamesSubscribe: more, resourceNamesUnsubscribe: less } = request;
  const isFirst = !state.begun;
  if (!isFirst && more.length === 0 && less.length === 0) return { state, touched: [] };
  const names = new Set(state.names);
  const held = new Map(state.held);
  const owed = new Set(state.owed);
  const touched = new Set<string>();
  let { wildcard } = state;

  for (const name of less) {
    if (name === wildcardName) {
      wildcard = false;
      for (const other of [...held.keys(), ...owed]) {
        if (names.has(other)) continue;
        held.delete(other);
        owed.delete(other);
      }
      continue;
    }
    if (!names.delete(name)) continue;
    owed.delete(name);
    for (const other of refusedWith(state.held, name)) touched.add(other);
    if (wildcard) touched.add(name);
    else held.delete(name);
  }
  for (const name of touched) if (!wildcard && !names.has(name)) touched.delete(name);
  // After the others: a name in both lists ends up subscribed, and answered.
  for (const name of more) {
    if (name !== wildcardName) {
      names.add(name);
      touched.add(name);
    }
    if (name !== wildcardName || wildcard) continue;
    wildcard = true;
    for (const visible of view.names()) touched.add(visible);
  }
  if (isFirst && more.length === 0) {
    wildcard = true; // Rule 6.
    for (const visible of view.names()) touched.add(visible);
  }
  for (const name of touched) owed.add(name);
  const claimed = new Set<string>();
  if (isFirst) {
    for (const [name, version] of Object.entries(request.initialResourceVersions)) {
      if (!wildcard && !names.has(name)) continue;
      if (!names.has(name)) claimed.add(name);
      const secret = view.get(name);
      // Equal versions are equal contents, so it is known what the client trusts by it.
      const known =
        secret?.version === version
          ? secret
          : { ...nothingKnown, version: isVersion(version) ? version : '' };
      held.set(name, {
        sent: known,
        nonce: '',
        together: 1,
        reply: 'acknowledged',
        used: known,
      });
      owed.delete(name); // Rule 3.
      touched.add(name);
    }
  }
  return {
    state: {
      ...state,
      begun: true,
      wildcard,
      names: sameOr(state.names, names),
      held,
      claimed: claimed.size > 0 ? claimed : state.claimed,
      owed,
    },
    touched: [...touched],
  };
}

/** Answers what is due among `candidates`; sends nothing if nothing is. */
function answer(state: DeltaState, candidates: readonly string[], view: SecretView): Step {
  const everything = state.wildcard ? new Set(view.names()) : noNames;
  const ready: (readonly [string, SecretSummary])[] = [];
  const removed: string[] = [];
  const secretOf = (name: string): SecretSummary | undefined =>
    state.names.has(name) || everything.has(name) ? view.get(name) : undefined;
  // What replaces a refused secret brings along the good ones that were refused for its sake.
  const again = new Set(
    candidates
      .filter((name) => {
        const secret = secretOf(name);
        const sent = state.held.get(name)?.sent;
        return state.owed.has(name) || (secret ?? gone).version !== (sent ?? gone).version;
      })
      .flatMap((name) => refusedWith(state.held, name)),
  );
  for (const name of new Set([...candidates, ...again])) {
    const held = state.held.get(name);
    const isOwed = state.owed.has(name) || again.has(name);
    const secret = secretOf(name);
    if (secret !== undefined) {
      if (isOwed || held?.sent.version !== secret.version) ready.push([name, secret]);
    } else if (
      (isOwed || (held !== undefined && held.sent !== gone)) &&
      !isAwaited(state, name, view)
    ) {
      removed.push(name);
    }
  }
  if (ready.length === 0 && removed.length === 0) return { state, actions: [] };
  const responses = state.responses + 1;
  const nonce = `${state.streamId}-${responses}`;
  const held = new Map(state.held);
  const owed = new Set(state.owed);
  // What it never had it cannot go on with: of that there is nothing to remember.
  const lost = removed.filter((name) => held.has(name));
  const together = ready.length + lost.length;
  for (const [name, sent] of [...ready, ...lost.map((each) => [each, gone] as const)]) {
    const { used } = held.get(name) ?? { used: undefined };
    held.set(name, { sent, nonce, together, reply: 'awaited', used });
  }
  for (const name of [...ready.map(([each]) => each), ...removed]) owed.delete(name);
  const names = ready.map(([name]) => name);
  return {
    state: { ...state, held, owed, responses },
    actions: [{ kind: 'send', nonce, version: versionOfSecrets(ready), names, removed }],
  };
}

/** On its way to this client: what is fetched for those who name it is not, once it is unsubscribed. */
function isAwaited({ names }: DeltaState, name: string, view: SecretView): boolean {
  return view.isPending(name) && (names.has(name) || !view.isOnDemand(name));
}

/** The others that were refused together with this: a client takes all of a response or nothing of it. */
function refusedWith(held: DeltaState['held'], name: string): readonly string[] {
  const secret = held.get(name);
  if (secret?.reply !== 'rejected') return [];
  return [...held]
    .filter(([other, { nonce, reply }]) => {
      return other !== name && nonce === secret.nonce && reply === 'rejected';
    })
    .map(([other]) => other);
}

/** What it has: not what it was told to be gone. */
function heldNames({ held }: DeltaState): readonly string[] {
  return [...held].filter(([, { sent }]) => sent !== gone).map(([name]) => name);
}

function watchedNow(state: DeltaState, view: SecretView): readonly string[] {
  if (!state.wildcard) return [...state.names];
  return [...new Set([...state.names, ...state.held.keys(), ...state.owed, ...view.names()])];
}

/** The value before, if the other says the same: who watches the names compares by identity. */
function sameOr(before: ReadonlySet<string>, after: ReadonlySet<string>): ReadonlySet<string> {
  return before.size === after.size && [...before].every((name) => after.has(name))
    ? before
    : after;
}

type Step = SubscriptionStep<DeltaState>;
const noNames: ReadonlySet<string> = new Set();
const nothingKnown = { rootKeyIds: [], authorityKeyIds: [] } as const;
/** Stands for a secret that the client was told to be gone, and has not agreed to. */
const gone: SecretSummary = { ...nothingKnown, version: '' };
