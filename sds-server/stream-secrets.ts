/** `StreamSecrets`: the subscription machine between a client's stream and its secrets. */

import { type DiscoveryRequest, type DiscoveryResponse, secretTypeUrl } from '../api/index.ts';
import { CodedError, sleep, toHex, type Watch } from '../core/index.ts';
import type { CallContext, Duplex } from '../rpc/index.ts';
import { type SdsDeps, viewOf } from './sds-deps.ts';
import { coversTrustDomain, resolveSecretName } from './secret-name.ts';
import type { SecretSet } from './secret-source.ts';
import { sameTrust, type StreamTrust, trustOf } from './stream-trust.ts';
import {
  openSubscription,
  stepSubscription,
  type SubscriptionAction,
  type SubscriptionEvent,
} from './subscription.ts';

export type SdsStreamErrorCode = 'sds_client_stuck';

export class SdsStreamError extends CodedError<SdsStreamErrorCode> {
  override readonly name = 'SdsStreamError';
  override readonly kind = 'resource_exhausted';
}

/** Serves one stream until the client ends it. Throws what ends it otherwise. */
export async function streamSecrets(
  stream: Duplex<DiscoveryRequest, DiscoveryResponse>,
  context: CallContext,
  deps: SdsDeps,
): Promise<void> {
  const secrets = await deps.source.watch(context.caller, context.signal);
  const session = new StreamSession(stream, secrets, context, deps);
  try {
    await Promise.race([session.serveRequests(), session.failed]);
  } finally {
    session.close();
  }
}

/** The mutable edge around the pure machine: one state, one writer, one place where bytes leave. */
class StreamSession {
  /** Rejects when the stream must end for a reason that no request brought. */
  readonly failed: Promise<never>;
  readonly #stream: Duplex<DiscoveryRequest, DiscoveryResponse>;
  readonly #secrets: Watch<SecretSet>;
  readonly #context: CallContext;
  readonly #deps: SdsDeps;
  readonly #unsubscribe: () => void;
  #fail: (error: unknown) => void = () => {};
  #state;
  #trust: StreamTrust = { subscribed: false, acknowledgedRootKeyIds: [] };
  /** Set while the client has not taken what was sent; changes meanwhile are looked at once, after it. */
  #blocked: Promise<void> | undefined;

  constructor(
    stream: Duplex<DiscoveryRequest, DiscoveryResponse>,
    secrets: Watch<SecretSet>,
    context: CallContext,
    deps: SdsDeps,
  ) {
    this.#stream = stream;
    this.#secrets = secrets;
    this.#context = context;
    this.#deps = deps;
    this.#state = openSubscription(toHex(deps.random.bytes(streamIdBytes)));
    this.failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    // It is raced, and may be rejected after the race was won.
    this.failed.catch(() => {});
    this.#unsubscribe = secrets.subscribe(() => this.#secretsChanged());
  }

  async serveRequests(): Promise<void> {
    for await (const request of this.#stream.requests) {
      this.#step({ kind: 'request', request, view: this.#view() });
      // The next request is read only when the client has taken the answer: a client cannot make us queue.
      while (this.#blocked !== undefined) await this.#blocked;
    }
  }

  close(): void {
    this.#unsubscribe();
    if (this.#trust.subscribed) this.#deps.observer.streamChanged(this.#state.streamId, undefined);
  }

  #secretsChanged(): void {
    if (this.#blocked !== undefined) return;
    try {
      this.#step({ kind: 'secrets_changed', view: this.#view() });
    } catch (error) {
      this.#fail(error);
    }
  }

  #view(): ReturnType<typeof viewOf> {
    return viewOf(this.#secrets.current(), this.#deps);
  }

  #step(event: SubscriptionEvent): void {
    const { state, actions } = stepSubscription(this.#state, event);
    this.#state = state;
    for (const action of actions) this.#perform(action);
    this.#reportTrust();
  }

  #perform(action: SubscriptionAction): void {
    const { log } = this.#deps;
    const { connection } = this.#context.caller;
    switch (action.kind) {
      case 'send':
        this.#send(action);
        return;
      case 'acknowledged':
        log.debug('secrets acknowledged', { connection, version: action.version });
        return;
      case 'rejected':
        log.warn('secrets rejected by the client; nothing is sent until they change', {
          connection,
          version: action.version,
          // The client wrote it; a bound keeps it from filling the log.
          detail: action.detail.slice(0, detailLengthMax),
        });
        return;
      case 'fail':
        throw action.error;
    }
  }

  #send(action: Extract<SubscriptionAction, { kind: 'send' }>): void {
    const view = this.#view();
    this.#stream.send({
      versionInfo: action.version,
      resources: action.names.flatMap((name) => view.get(name)?.encoded ?? []),
      typeUrl: secretTypeUrl,
      nonce: action.nonce,
      controlPlane: { identifier: 'signet' },
    });
    this.#deps.log.debug('secrets sent', {
      connection: this.#context.caller.connection,
      names: action.names,
      version: action.version,
    });
    this.#blocked = this.#waitUntilTaken();
  }

  async #waitUntilTaken(): Promise<void> {
    const { clock } = this.#deps;
    const waited = new AbortController();
    const late = sleep(clock, stuckMsMax, waited.signal).then(() => 'late' as const);
    const outcome = await Promise.race([this.#stream.drained(), late]);
    waited.abort();
    this.#blocked = undefined;
    if (this.#context.signal.aborted) return;
    if (outcome === 'late') {
      this.#fail(
        new SdsStreamError(
          'sds_client_stuck',
          `the client did not read for ${stuckMsMax / 1000} seconds`,
        ),
      );
      return;
    }
    this.#secretsChanged();
  }

  #reportTrust(): void {
    const { trustDomain } = this.#secrets.current();
    const view = this.#view();
    const trust = trustOf(
      this.#state,
      (name) =>
        coversTrustDomain(resolveSecretName(name, this.#deps.aliases), trustDomain) &&
        view.get(name) !== undefined,
    );
    if (sameTrust(this.#trust, trust)) return;
    this.#trust = trust;
    this.#deps.observer.streamChanged(this.#state.streamId, trust.subscribed ? trust : undefined);
  }
}

// 64 random bits: no two streams of an agent's life share a nonce.
const streamIdBytes = 8;
const detailLengthMax = 512;
// A client that reads nothing for so long is not going to use what it asked for.
const stuckMsMax = 60_000;
