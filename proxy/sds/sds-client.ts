/** The SDS client: two subscriptions in, one watched TLS material out, and nothing bad ever replaces anything good. */

import { SecretDiscoveryServiceClient } from '../../api/index.ts';
import {
  type Clock,
  type Closable,
  equalBytes,
  type Logger,
  type Random,
  type Watch,
  WatchSource,
} from '../../core/index.ts';
import { unixChannel } from '../../rpc/index.ts';
import { trustDomainOf, verifyX509Svid } from '../../spiffe/index.ts';
import type { TlsMinVersion } from '../net/mtls/secure-context.ts';
import type { TlsIdentity, TlsMaterial, TlsTrust } from '../net/mtls/tls-material.ts';
import { readCertificateSecret } from './certificate-secret.ts';
import { SecretError } from './secret-error.ts';
import { type SecretPush, Subscription, type SubscriptionStats } from './subscription.ts';
import { bundlesFor, readValidationSecret, type ValidationSecret } from './validation-secret.ts';

export interface SdsOptions {
  readonly socket: string;
  readonly certificate: string;
  readonly validation: string;
  readonly node: { readonly id: string; readonly cluster: string };
  /** The oldest version of TLS that contexts made of the certificate speak. */
  readonly minVersion: TlsMinVersion;
}

export interface SdsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** A subscription as the admin port shows it. */
export interface SecretStatus extends Readonly<SubscriptionStats> {
  readonly name: string;
  readonly version: string | undefined;
}

export interface SdsClient extends Closable {
  /** Undefined until a certificate and the bundle it leads to have both arrived. */
  readonly material: Watch<TlsMaterial | undefined>;
  secrets(): readonly SecretStatus[];
}

/** Subscribes at once and for ever. Throws SocketPathError. */
export function startSdsClient(options: SdsOptions, deps: SdsDeps): SdsClient {
  const channel = unixChannel(options.socket);
  const client = new SecretDiscoveryServiceClient(
    channel.target,
    channel.credentials,
    channel.options,
  );
  const secrets = new Secrets(options.minVersion, deps);
  const { node } = options;
  const server = `SDS server at ${options.socket}`;
  const subscribe = (name: string, onPush: (push: SecretPush) => void): Subscription =>
    new Subscription({ name, node, server }, { ...deps, client, onPush });
  const certificate = subscribe(options.certificate, (push) => secrets.onCertificate(push));
  const validation = subscribe(options.validation, (push) => secrets.onValidation(push));
  return {
    material: secrets.material,
    secrets: () => [
      { ...certificate.stats, name: options.certificate, version: secrets.identity?.version },
      { ...validation.stats, name: options.validation, version: secrets.validation?.version },
    ],
    async close() {
      await Promise.all([certificate.close(), validation.close()]);
      client.close();
    },
  };
}

/**
 * What has been accepted, and what waits. Certificate and bundle come on streams of their own, so a
 * certificate may be here before the bundle it leads to: it is then kept, tried again with the next
 * bundle, and acknowledged only when it is in use.
 */
class Secrets {
  readonly material = new WatchSource<TlsMaterial | undefined>(undefined);
  identity: TlsIdentity | undefined;
  validation: AcceptedValidation | undefined;
  #waiting: { readonly identity: TlsIdentity; readonly push: SecretPush } | undefined;
  readonly #minVersion: TlsMinVersion;
  readonly #deps: SdsDeps;

  constructor(minVersion: TlsMinVersion, deps: SdsDeps) {
    this.#minVersion = minVersion;
    this.#deps = deps;
  }

  onCertificate(push: SecretPush): void {
    this.#waiting = undefined;
    const { clock } = this.#deps;
    const identity = attempt(push, this.#deps.log, () =>
      readCertificateSecret(push.secret, push.version, clock.wallMs(), this.#minVersion),
    );
    if (identity === undefined) return;
    if (this.identity !== undefined && sameChain(identity, this.identity)) {
      // A server that came back sends what we have. Swapping would only drop pooled connections.
      push.accept();
      return;
    }
    this.#waiting = { identity, push };
    // Without any bundle there is nothing to judge by yet, which is no fault of the certificate.
    if (this.validation !== undefined) this.#tryWaiting(this.validation, true);
  }

  onValidation(push: SecretPush): void {
    const { clock, log } = this.#deps;
    const validation = attempt(push, log, () => {
      const read = readValidationSecret(push.secret);
      const own = this.identity ?? this.#waiting?.identity;
      if (own !== undefined) bundlesFor(read, trustDomainOf(own.id));
      return { secret: read, version: push.version, loadedAtMs: clock.wallMs() };
    });
    if (validation === undefined) return;
    this.validation = validation;
    this.#tryWaiting(validation, false);
    this.#warnIfUntrusted(validation);
    this.#publish();
    push.accept();
    log.info('bundles loaded', { secret: push.secret.name, version: push.version });
  }

  #tryWaiting(validation: AcceptedValidation, isNew: boolean): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const { identity, push } = waiting;
    const { clock, log } = this.#deps;
    const refusal = whyUntrusted(identity, validation.secret, clock.wallMs());
    if (refusal !== undefined) {
      // It stays in waiting: the bundle it leads to may be on its way on the other stream.
      if (isNew) refuse(push, log, `the chain does not lead to our own bundle: ${refusal}`);
      return;
    }
    this.#waiting = undefined;
    this.identity = identity;
    if (isNew) this.#publish();
    push.accept();
    log.info('certificate loaded', {
      secret: push.secret.name,
      spiffeId: identity.id,
      serial: identity.chain[0]?.serial,
      notAfter: new Date(identity.notAfterMs).toISOString(),
      version: identity.version,
    });
  }

  /**
   * A bundle that no longer vouches for us is taken all the same: to refuse it would keep a root in
   * trust that somebody has withdrawn.
   */
  #warnIfUntrusted(validation: AcceptedValidation): void {
    if (this.identity === undefined) return;
    const { clock, log } = this.#deps;
    const reason = whyUntrusted(this.identity, validation.secret, clock.wallMs());
    if (reason !== undefined)
      log.warn('our certificate does not lead to the new bundle', { reason });
  }

  #publish(): void {
    const { identity, validation } = this;
    if (identity === undefined || validation === undefined) return;
    const previous = this.material.current();
    const trust = this.#trustOf(identity, validation, previous?.trust);
    const generation = (previous?.generation ?? 0) + 1;
    this.material.set({ identity, trust, generation });
  }

  /** The same value as long as nothing changed, so that verdicts on peers can be kept with it. */
  #trustOf(identity: TlsIdentity, from: AcceptedValidation, previous?: TlsTrust): TlsTrust {
    if (previous?.loadedAtMs === from.loadedAtMs && previous.version === from.version)
      return previous;
    const bundles = bundlesFor(from.secret, trustDomainOf(identity.id));
    const { lists } = from.secret;
    return { bundles, lists, version: from.version, loadedAtMs: from.loadedAtMs };
  }
}

function sameChain(left: TlsIdentity, right: TlsIdentity): boolean {
  return (
    left.chain.length === right.chain.length &&
    left.chain.every((each, at) => equalBytes(each.der, right.chain[at]?.der ?? each.tbs))
  );
}

interface AcceptedValidation {
  readonly secret: ValidationSecret;
  readonly version: string;
  readonly loadedAtMs: number;
}

/** What `read` gives, or undefined after the push was refused for its reason. */
function attempt<T>(push: SecretPush, log: Logger, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    refuse(push, log, error.message);
    return undefined;
  }
}

function refuse(push: SecretPush, log: Logger, reason: string): void {
  const { secret, version } = push;
  log.warn('a secret was refused, the last good one stays', {
    secret: secret.name,
    version,
    reason,
  });
  push.refuse(reason);
}

function whyUntrusted(
  identity: TlsIdentity,
  validation: ValidationSecret,
  atMs: number,
): string | undefined {
  try {
    const bundles = bundlesFor(validation, trustDomainOf(identity.id));
    const result = verifyX509Svid({ chain: identity.chain, bundles, atMs });
    return result.kind === 'valid' ? undefined : result.detail;
  } catch (error) {
    if (error instanceof SecretError) return error.message;
    throw error;
  }
}
