/** One stream of either protocol: the mutable edge around the pure machine, and the one place where bytes leave. */

import type { Buffer } from 'node:buffer';
import { CodedError, cutText, toHex, type Watch } from '../core/index.ts';
import type { Caller, CallContext, Duplex } from '../rpc/index.ts';
import { type ResourceView, type SdsDeps, viewOf } from './sds-deps.ts';
import type { SdsClient, SdsPeer } from './sds-clients.ts';
import { canonicalName, coversTrustDomain } from './secret-name.ts';
import type { SecretSet } from './secret-source.ts';
import { SecretStandings } from './secret-standings.ts';
import { sameTrust, type StreamTrust, trustOf } from './stream-trust.ts';
import type {
  SendAction,
  SubscriptionAction,
  SubscriptionEvent,
  SubscriptionProtocol,
} from './subscription-step.ts';
import type { StreamNames } from './wanted-names.ts';

export type SdsStreamErrorCode = 'sds_client_stuck';

export class SdsStreamError extends CodedError<SdsStreamErrorCode> {
  override readonly name = 'SdsStreamError';
  override readonly kind = 'resource_exhausted';
}

/** Serves one stream until the client ends it. Throws what ends it otherwise. */
export async function serveSubscription<State, Request>(
  protocol: SubscriptionProtocol<State, Request>,
  stream: Duplex<Request, Buffer>,
  context: CallContext,
  deps: SdsDeps,
): Promise<void> {
  deps.admission.stream(context.caller, context.signal);
  const secrets = await deps.source.watch(context.caller, context.signal);
  if (context.signal.aborted) return;
  const session = new SdsSession(protocol, stream, secrets, context, deps);
  try {
    await Promise.race([session.serveRequests(), session.failed]);
  } finally {
    session.close();
  }
}

class SdsSession<State, Request> {
  /** Rejects when the stream must end for a reason that no request brought. */
  readonly failed: Promise<never>;
  readonly #protocol: SubscriptionProtocol<State, Request>;
  readonly #stream: Duplex<Request, Buffer>;
  readonly #secrets: Watch<SecretSet>;
  readonly #context: CallContext;
  readonly #deps: SdsDeps;
  readonly #streamId: string;
  readonly #openedMs: number;
  readonly #names: StreamNames;
  readonly #standings = new SecretStandings();
  readonly #unsubscribe: () => void;
  #fail: (error: unknown) => void = () => {};
  #state: State;
  #trust: StreamTrust = { subscribed: false, acknowledgedRootKeyIds: [] };
  /** Set while the client has not taken what was sent; changes meanwhile are looked at once, after it. */
  #blocked: Promise<void> | undefined;
  #changedMeanwhile = false;
  #closed = false;
  /** Asked for while the stream was blocked. */
  #resends: ((name: string) => boolean)[] = [];

  constructor(
    protocol: SubscriptionProtocol<State, Request>,
    stream: Duplex<Request, Buffer>,
    secrets: Watch<SecretSet>,
    context: CallContext,
    deps: SdsDeps,
  ) {
    this.#protocol = protocol;
    this.#stream = stream;
    this.#secrets = secrets;
    this.#context = context;
    this.#deps = deps;
    this.#streamId = toHex(deps.random.bytes(streamIdBytes));
    this.#openedMs = deps.clock.wallMs();
    this.#state = protocol.open(this.#streamId);
    this.failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    // It is raced, and may be rejected after the race was won.
    this.failed.catch(() => {});
    this.#names = deps.wanted.open(context.caller);
    this.#unsubscribe = secrets.subscribe(() => this.#secretsChanged());
    deps.clients.add(this.#streamId, {
      standing: () => this.#standing(),
      resend: (name) => this.#resend(name),
    });
  }

  async serveRequests(): Promise<void> {
    const requests = this.#stream.requests[Symbol.asyncIterator]();
    while (await this.#serveNext(requests)) {
      // The next request is read only when the client has taken the answer: a client cannot make us queue.
      while (this.#blocked !== undefined) await this.#blocked;
    }
  }

  /** False at the end. By itself, so that nothing holds a request while its stream waits for another. */
  async #serveNext(requests: AsyncIterator<Request>): Promise<boolean> {
    const { done = false, value: request } = await requests.next();
    if (done) return false;
    this.#deps.admission.request(this.#context.caller);
    const view = this.#view();
    this.#step({ kind: 'request', request, view }, view);
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#names.close();
    this.#deps.clients.remove(this.#streamId);
    if (this.#trust.subscribed) this.#deps.observer.streamChanged(this.#streamId, undefined);
  }

  #secretsChanged(): void {
    if (this.#blocked !== undefined) {
      this.#changedMeanwhile = true;
      return;
    }
    const view = this.#view();
    this.#stepOrFail({ kind: 'secrets_changed', view }, view);
  }

  #resend(name: string | undefined): boolean {
    const matches = matcherOf(name, this.#deps);
    if (!this.#standings.current().some((standing) => matches(standing.name))) return false;
    if (this.#blocked !== undefined) this.#resends.push(matches);
    else this.#sendAgain(matches);
    return true;
  }

  #sendAgain(matches: (name: string) => boolean): void {
    const view = this.#view();
    this.#stepOrFail({ kind: 'resend', matches, view }, view);
  }

  #view(): ResourceView {
    return viewOf(this.#secrets.current(), this.#deps);
  }

  #stepOrFail(event: SubscriptionEvent<Request>, view: ResourceView): void {
    try {
      this.#step(event, view);
    } catch (error) {
      this.#fail(error);
    }
  }

  #step(event: SubscriptionEvent<Request>, view: ResourceView): void {
    const before = this.#protocol.namesOf(this.#state);
    const claimedBefore = this.#protocol.claimedBy(this.#state);
    const { state, actions } = this.#protocol.step(this.#state, event);
    const names = this.#protocol.namesOf(state);
    const claimed = this.#protocol.claimedBy(state);
    const moved = state !== this.#state;
    this.#state = state;
    for (const action of actions) this.#perform(action, view);
    const changed = moved && this.#updateStandings(actions);
    // Also without a change of state: the caller may see other secrets now.
    this.#reportTrust(view);
    if (changed) this.#deps.clients.changed(this.#streamId);
    // Last, because a source may answer at once with other secrets.
    if (names !== before || claimed !== claimedBefore) this.#names.set(names, claimed);
  }

  #perform(action: SubscriptionAction, view: ResourceView): void {
    const { log } = this.#deps;
    const { connection } = this.#context.caller;
    switch (action.kind) {
      case 'send':
        this.#send(action, view);
        return;
      case 'acknowledged':
        log.debug('secrets acknowledged', { connection, version: action.version });
        return;
      case 'rejected':
        log.warn('secrets rejected by the client; nothing is sent until they change', {
          connection,
          version: action.version,
          // The client wrote it; a bound keeps it from filling the log.
          detail: cutText(action.detail, detailLengthMax),
        });
        return;
      case 'fail':
        throw action.error;
    }
  }

  #send(action: SendAction, view: ResourceView): void {
    const resources = action.names.flatMap((name) => view.resource(name) ?? []);
    this.#stream.send(this.#protocol.response(action, resources));
    this.#deps.log.debug('secrets sent', {
      connection: this.#context.caller.connection,
      names: action.names,
      removed: action.removed,
      version: action.version,
    });
    this.#blocked = this.#waitUntilTaken();
  }

  async #waitUntilTaken(): Promise<void> {
    const late = this.#deps.clock.after(stuckMsMax, () => {
      const reason = `the client did not read for ${stuckMsMax / 1000} seconds`;
      this.#fail(new SdsStreamError('sds_client_stuck', reason));
    });
    await this.#stream.drained();
    late.cancel();
    this.#blocked = undefined;
    if (this.#closed || this.#context.signal.aborted) return;
    const resends = this.#resends.splice(0);
    // What changed meanwhile is in a resend, or found when that too is taken.
    if (resends.length > 0) this.#sendAgain((name) => resends.some((resend) => resend(name)));
    if (!this.#changedMeanwhile) return;
    this.#changedMeanwhile = false;
    this.#secretsChanged();
  }

  /** True if anything reads differently now. */
  #updateStandings(actions: readonly SubscriptionAction[]): boolean {
    const rejected = actions.find((action) => action.kind === 'rejected');
    return this.#standings.update(
      this.#protocol.standings(this.#state),
      rejected === undefined ? undefined : cutText(rejected.detail, detailLengthMax),
      this.#deps.clock.wallMs(),
    );
  }

  #reportTrust(view: ResourceView): void {
    const { trustDomain } = this.#secrets.current();
    const watched = this.#protocol
      .watchedBy(this.#state)
      .filter(
        (name) =>
          coversTrustDomain(this.#deps.resolve(name), trustDomain) && view.get(name) !== undefined,
      );
    const trust = trustOf(watched, (name) => this.#protocol.usedBy(this.#state, name));
    if (sameTrust(this.#trust, trust)) return;
    this.#trust = trust;
    this.#deps.observer.streamChanged(this.#streamId, trust.subscribed ? trust : undefined);
  }

  #standing(): SdsClient {
    const names = this.#standings.current();
    const known = new Set(names.map(({ name }) => name));
    const asked = [...this.#protocol.namesOf(this.#state)];
    return {
      streamId: this.#streamId,
      connection: this.#context.caller.connection,
      peer: peerOf(this.#context.caller),
      protocol: this.#protocol.name,
      openedMs: this.#openedMs,
      names,
      waiting: asked.filter((name) => !known.has(name)),
    };
  }
}

function peerOf(caller: Caller): SdsPeer {
  return caller.kind === 'unix'
    ? { kind: 'process', pid: caller.pid, uid: caller.uid }
    : { kind: 'tls', spiffeId: caller.identity };
}

/** Which names an operator means: the one spelt so, and any other spelling of the same secret. */
function matcherOf(name: string | undefined, { resolve }: SdsDeps): (name: string) => boolean {
  if (name === undefined) return () => true;
  const canonical = canonicalName(resolve(name));
  return (other) =>
    other === name || (canonical !== undefined && canonicalName(resolve(other)) === canonical);
}

// 64 random bits: no two streams of an agent's life share a nonce.
const streamIdBytes = 8;
const detailLengthMax = 512;
// A client that reads nothing for so long is not going to use what it asked for.
const stuckMsMax = 60_000;
