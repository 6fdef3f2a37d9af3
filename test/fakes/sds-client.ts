/** An SDS client that a test drives by hand: it acknowledges only when told to. */

import { X509Certificate } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  Secret,
  SecretDiscoveryServiceClient,
  secretTypeUrl,
  SPIFFECertValidatorConfig,
} from '../../api/index.ts';
import { type Channel, unixChannel } from '../../rpc/index.ts';

export class SdsClient {
  readonly responses: DiscoveryResponse[] = [];
  /** The status that the stream ended with. */
  ended: { code: number; details: string; metadata: Metadata } | undefined;
  readonly client: SecretDiscoveryServiceClient;
  readonly stream;

  /** `target`: a socket's path, or a channel over TLS. */
  constructor(target: string | Channel) {
    const channel = typeof target === 'string' ? unixChannel(target) : target;
    this.client = new SecretDiscoveryServiceClient(
      channel.target,
      channel.credentials,
      channel.options,
    );
    this.stream = this.client.streamSecrets();
    this.stream.on('data', (response: DiscoveryResponse) => this.responses.push(response));
    this.stream.on('error', () => {});
    this.stream.on('status', (status: { code: number; details: string; metadata: Metadata }) => {
      this.ended = status;
    });
  }

  get last(): DiscoveryResponse | undefined {
    return this.responses.at(-1);
  }

  ask(names: readonly string[], more: Partial<DiscoveryRequest> = {}): void {
    this.stream.write({
      versionInfo: '',
      node: undefined,
      resourceNames: [...names],
      typeUrl: secretTypeUrl,
      responseNonce: '',
      errorDetail: undefined,
      ...more,
    });
  }

  acknowledge(names: readonly string[]): void {
    const { nonce = '', versionInfo = '' } = this.last ?? {};
    this.ask(names, { responseNonce: nonce, versionInfo });
  }

  reject(names: readonly string[], message: string): void {
    this.ask(names, {
      responseNonce: this.last?.nonce ?? '',
      errorDetail: { code: 3, message },
    });
  }

  close(): void {
    this.stream.cancel();
    this.client.close();
  }
}

/** The same for delta. */
export class DeltaSdsClient {
  readonly responses: DeltaDiscoveryResponse[] = [];
  ended: { code: number; details: string } | undefined;
  readonly stream;
  readonly #client: SecretDiscoveryServiceClient;

  /** As that of {@link SdsClient}. */
  constructor(target: string | Channel) {
    const channel = typeof target === 'string' ? unixChannel(target) : target;
    this.#client = new SecretDiscoveryServiceClient(
      channel.target,
      channel.credentials,
      channel.options,
    );
    this.stream = this.#client.deltaSecrets();
    this.stream.on('data', (response: DeltaDiscoveryResponse) => this.responses.push(response));
    this.stream.on('error', () => {});
    this.stream.on('status', (status: { code: number; details: string }) => {
      this.ended = status;
    });
  }

  get last(): DeltaDiscoveryResponse | undefined {
    return this.responses.at(-1);
  }

  /** What this client would say it has if it reconnected now. */
  get versions(): Record<string, string> {
    const versions = new Map<string, string>();
    for (const { resources, removedResources } of this.responses) {
      for (const { name, version } of resources) versions.set(name, version);
      for (const name of removedResources) versions.delete(name);
    }
    return Object.fromEntries(versions);
  }

  say(more: Partial<DeltaDiscoveryRequest>): void {
    this.stream.write({
      node: undefined,
      typeUrl: secretTypeUrl,
      resourceNamesSubscribe: [],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: {},
      responseNonce: '',
      errorDetail: undefined,
      ...more,
    });
  }

  subscribe(...resourceNamesSubscribe: string[]): void {
    this.say({ resourceNamesSubscribe });
  }

  acknowledge(): void {
    this.say({ responseNonce: this.last?.nonce ?? '' });
  }

  reject(message: string): void {
    this.say({ responseNonce: this.last?.nonce ?? '', errorDetail: { code: 3, message } });
  }

  close(): void {
    this.stream.cancel();
    this.#client.close();
  }
}

export function secretsOf(response: DiscoveryResponse | undefined): Map<string, Secret> {
  return new Map(
    (response?.resources ?? []).map((resource) => {
      const secret = Secret.decode(resource.value);
      return [secret.name, secret];
    }),
  );
}

/** What a certificate secret holds, as text. */
export function certificateOf(secret: Secret | undefined): { chain: string; key: string } {
  if (secret?.type?.$case !== 'tlsCertificate') throw new Error('not a certificate');
  const { certificateChain, privateKey } = secret.type.value;
  return { chain: inline(certificateChain), key: inline(privateKey) };
}

/** The roots of a validation context by trust domain name; under '' those of a plain one. */
export function rootsOf(secret: Secret | undefined): Map<string, readonly X509Certificate[]> {
  if (secret?.type?.$case !== 'validationContext') throw new Error('not a validation context');
  const { trustedCa, customValidatorConfig } = secret.type.value;
  if (customValidatorConfig?.typedConfig === undefined) {
    return new Map([['', certificatesIn(inline(trustedCa))]]);
  }
  const config = SPIFFECertValidatorConfig.decode(customValidatorConfig.typedConfig.value);
  return new Map(
    config.trustDomains.map(({ name, trustBundle }) => [name, certificatesIn(inline(trustBundle))]),
  );
}

function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block),
  );
}

function inline(source: { specifier: { $case: string; value: unknown } | undefined } | undefined) {
  const value = source?.specifier?.value;
  if (!(value instanceof Uint8Array)) throw new Error('not inline bytes');
  return Buffer.from(value).toString('latin1');
}
