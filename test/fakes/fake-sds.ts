/** An SDS server that serves what a test tells it to, on a real Unix socket, and writes down every answer. */

import { Buffer } from 'node:buffer';
import {
  type DataSource,
  type DiscoveryRequest,
  type DiscoveryResponse,
  Secret,
  SecretDiscoveryServiceService,
  SPIFFECertValidatorConfig,
  secretTypeUrl,
  spiffeValidatorName,
  spiffeValidatorTypeUrl,
} from '../../api/index.ts';
import { type Closable, silentLogger } from '../../core/index.ts';
import { type CallContext, createRpcServer, type Duplex, duplexStream } from '../../rpc/index.ts';

/** One request as it came, in order. */
export interface SdsAnswer {
  readonly name: string;
  readonly kind: 'subscribe' | 'ack' | 'nack';
  readonly version: string;
  readonly error: string;
}

export interface FakeSds extends Closable {
  readonly answers: SdsAnswer[];
  /** Streams that are open now. */
  streamCount(): number;
  /** Sends the secret to every stream that asked for its name, and to those that will. */
  set(secret: Secret): void;
  /** Resolves once an answer has come for which `accept` holds. */
  waitFor(accept: (answer: SdsAnswer) => boolean): Promise<SdsAnswer>;
}

/** Serves on `path`. A test restarts it by closing one and starting another; `secrets` carries over. */
export async function startFakeSds(
  path: string,
  secrets: Map<string, Secret> = new Map(),
): Promise<FakeSds> {
  const answers: SdsAnswer[] = [];
  const streams = new Set<OpenStream>();
  const waiting = new Set<() => void>();
  let pushes = 0;

  const push = (stream: OpenStream): void => {
    const secret = secrets.get(stream.name);
    if (secret === undefined) return;
    pushes += 1;
    stream.nonce = `nonce-${pushes}`;
    stream.out.send({
      versionInfo: `v${pushes}`,
      resources: [{ typeUrl: secretTypeUrl, value: Buffer.from(Secret.encode(secret).finish()) }],
      typeUrl: secretTypeUrl,
      nonce: stream.nonce,
      controlPlane: undefined,
    });
  };

  const streamSecrets = async (
    stream: Duplex<DiscoveryRequest, DiscoveryResponse>,
    context: CallContext,
  ): Promise<void> => {
    const open: OpenStream = { name: '', nonce: '', out: stream };
    streams.add(open);
    context.signal.addEventListener('abort', () => streams.delete(open));
    for await (const request of stream.requests) {
      answers.push(answerOf(request));
      open.name = request.resourceNames[0] ?? '';
      if (request.responseNonce === '') push(open);
      for (const check of waiting) check();
    }
  };

  const server = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  server.addService(SecretDiscoveryServiceService, {
    streamSecrets: duplexStream(server.lookup, streamSecrets),
    deltaSecrets: () => {},
    fetchSecrets: () => {},
  });
  await server.listenUnix(path, 0o700);

  return {
    answers,
    streamCount: () => streams.size,
    set(secret) {
      secrets.set(secret.name, secret);
      for (const stream of streams) if (stream.name === secret.name) push(stream);
    },
    waitFor: (accept) =>
      new Promise((resolve) => {
        const check = (): void => {
          const found = answers.find(accept);
          if (found === undefined) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        check();
      }),
    close: () => server.close(),
  };
}

interface OpenStream {
  name: string;
  nonce: string;
  readonly out: Duplex<DiscoveryRequest, DiscoveryResponse>;
}

function answerOf(request: DiscoveryRequest): SdsAnswer {
  const isFirst = request.responseNonce === '';
  const isRefusal = request.errorDetail !== undefined;
  return {
    name: request.resourceNames[0] ?? '',
    kind: isFirst ? 'subscribe' : isRefusal ? 'nack' : 'ack',
    version: request.versionInfo,
    error: request.errorDetail?.message ?? '',
  };
}

export function certificateSecret(
  leaf: { readonly chainPem: string; readonly keyPem: string },
  name = 'default',
): Secret {
  const value = {
    certificateChain: inline(leaf.chainPem),
    privateKey: inline(leaf.keyPem),
  };
  return { name, type: { $case: 'tlsCertificate', value } };
}

/** Bundles by trust domain, as Envoy's SPIFFE validator takes them. */
export function validationSecret(
  bundles: Readonly<Record<string, string>>,
  name = 'ALL',
  crlPem?: string,
): Secret {
  const trustDomains = Object.entries(bundles).map(([trustDomain, pem]) => ({
    name: trustDomain,
    trustBundle: inline(pem),
  }));
  const typedConfig = {
    typeUrl: spiffeValidatorTypeUrl,
    value: Buffer.from(SPIFFECertValidatorConfig.encode({ trustDomains }).finish()),
  };
  const customValidatorConfig = { name: spiffeValidatorName, typedConfig };
  const value = { trustedCa: undefined, ...revocation(crlPem), customValidatorConfig };
  return { name, type: { $case: 'validationContext', value } };
}

/** Roots of one trust domain, as `trusted_ca`. */
export function rootSecret(pem: string, name = 'ROOTCA', crlPem?: string): Secret {
  const value = { trustedCa: inline(pem), ...revocation(crlPem), customValidatorConfig: undefined };
  return { name, type: { $case: 'validationContext', value } };
}

function revocation(pem: string | undefined) {
  const isGiven = pem !== undefined;
  return { crl: isGiven ? inline(pem) : undefined, onlyVerifyLeafCertCrl: isGiven };
}

function inline(text: string): DataSource {
  return { specifier: { $case: 'inlineBytes', value: Buffer.from(text) } };
}
