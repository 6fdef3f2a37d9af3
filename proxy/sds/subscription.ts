/** One secret's subscription: asks by name, hears each version, answers each, and asks again after any break. */

import {
  type Any,
  type DiscoveryResponse,
  type SecretDiscoveryServiceClient,
  Secret,
  secretTypeUrl,
} from '../../api/index.ts';
import {
  backoffMs,
  type BackoffPolicy,
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  sleep,
} from '../../core/index.ts';
import { messagesOf } from '../../rpc/index.ts';
import { SecretError } from './secret-error.ts';

/** One version of the secret, to be answered at once or later. A refused one may still be accepted. */
export interface SecretPush {
  readonly secret: Secret;
  readonly version: string;
  /** Tells the server that this version is in use. */
  accept(): void;
  /** Tells the server why it is not; what was accepted before stays in use. */
  refuse(reason: string): void;
}

export interface SubscriptionOptions {
  readonly name: string;
  readonly node: { readonly id: string; readonly cluster: string };
  /** Names the server in logs. */
  readonly server: string;
}

export interface SubscriptionDeps {
  readonly client: SecretDiscoveryServiceClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly onPush: (push: SecretPush) => void;
}

export interface SubscriptionStats {
  accepted: number;
  refused: number;
  streams: number;
  isConnected: boolean;
  lastRefusal: string | undefined;
}

type SecretStream = ReturnType<SecretDiscoveryServiceClient['streamSecrets']>;

/** A stream per secret, as Envoy has it: each is acknowledged or refused on its own. */
export class Subscription implements Closable {
  readonly stats: SubscriptionStats = {
    accepted: 0,
    refused: 0,
    streams: 0,
    isConnected: false,
    lastRefusal: undefined,
  };
  readonly #options: SubscriptionOptions;
  readonly #deps: SubscriptionDeps;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #stream: SecretStream | undefined;
  #acceptedVersion = '';
  #failures = 0;

  constructor(options: SubscriptionOptions, deps: SubscriptionDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#stream?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#deps;
    const { name, server } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const reason = await this.#listen();
      this.stats.isConnected = false;
      if (signal.aborted) return;
      const delayMs = Math.round(backoffMs(backoff, this.#failures, random));
      // The first break is news; the tries that follow it in an outage are not.
      const level = this.#failures === 0 ? 'warn' : 'debug';
      log[level]('the SDS stream ended', { secret: name, server, reason, retryInMs: delayMs });
      this.#failures += 1;
      await sleep(clock, delayMs, signal);
    }
  }

  /** Lives as long as one stream does, and says how it ended. */
  async #listen(): Promise<string> {
    const { client } = this.#deps;
    const stream = client.streamSecrets();
    this.#stream = stream;
    this.stats.streams += 1;
    // The iteration below reports the failure; this listener only keeps it from being thrown as well.
    stream.on('error', () => {});
    this.#send(stream, '', undefined);
    try {
      for await (const response of messagesOf(this.#options.server, stream)) {
        this.#failures = 0;
        this.stats.isConnected = true;
        this.#onResponse(stream, response);
      }
      return 'the server ended it';
    } catch (error) {
      return describeError(error);
    } finally {
      this.#stream = undefined;
    }
  }

  #onResponse(stream: SecretStream, response: DiscoveryResponse): void {
    const { nonce, versionInfo: version } = response;
    const answer = (errorDetail: string | undefined): void => {
      // An answer to a stream that is gone would name a nonce its successor never gave.
      if (this.#stream === stream) this.#send(stream, nonce, errorDetail);
    };
    const accept = (): void => {
      this.#acceptedVersion = version;
      this.stats.accepted += 1;
      this.stats.lastRefusal = undefined;
      answer(undefined);
    };
    const refuse = (reason: string): void => {
      this.stats.refused += 1;
      this.stats.lastRefusal = reason;
      answer(reason);
    };
    try {
      this.#deps.onPush({ secret: this.#secretIn(response.resources), version, accept, refuse });
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      refuse(error.message);
    }
  }

  #secretIn(resources: readonly Any[]): Secret {
    const { name } = this.#options;
    for (const resource of resources) {
      if (resource.typeUrl !== secretTypeUrl) continue;
      const secret = decodeSecret(resource.value, name);
      // What was decoded is a copy; no second one of a key stays behind.
      resource.value.fill(0);
      if (secret.name === name) return secret;
    }
    throw new SecretError('secret_missing', `the response holds no secret ${name}`);
  }

  #send(stream: SecretStream, responseNonce: string, errorDetail: string | undefined): void {
    const { name, node } = this.#options;
    stream.write({
      // Also on a new stream: the server learns what is in use and needs to send only what is newer.
      versionInfo: this.#acceptedVersion,
      node: { ...node, metadata: undefined, userAgentName: 'signet-proxy' },
      resourceNames: [name],
      typeUrl: secretTypeUrl,
      responseNonce,
      errorDetail:
        errorDetail === undefined
          ? undefined
          : { code: invalidArgument, message: errorDetail.slice(0, errorDetailMax) },
    });
  }
}

function decodeSecret(value: Uint8Array, name: string): Secret {
  try {
    return Secret.decode(value);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new SecretError('secret_missing', `the response for ${name} is no secret`, { cause });
  }
}

// Short at first, since an agent restarts in a second; bounded so that its return is soon noticed.
const backoff: BackoffPolicy = { baseMs: 100, maxMs: 5000 };
// google.rpc.Code INVALID_ARGUMENT, which is what xDS clients put into a refusal.
const invalidArgument = 3;
// One line for the server's log.
const errorDetailMax = 512;
