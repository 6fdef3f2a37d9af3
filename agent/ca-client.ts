/** The CA over gRPC and mutual TLS: one connection, trusted by the bundle and known by its SPIFFE ID. */

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { NodeApiClient } from '../api/index.ts';
import type { Clock } from '../core/index.ts';
import { type Certificate, parseCertificate, pemEncode } from '../pki/index.ts';
import { callUnary, messagesOf, tlsChannel } from '../rpc/index.ts';
import { privateKeyPemBytes } from '../sds-server/index.ts';
import { checkLeaf, type SpiffeId, spiffeIdOf, type TrustDomain } from '../spiffe/index.ts';
import type { NodeApi } from './node-api.ts';
import type { NodeSvid } from './node-svid.ts';

export interface CaAddress {
  readonly host: string;
  readonly port: number;
}

/** Who the CA is: its server certificate carries this ID (SPIFFE-ID ID-7 gives it one without a path; ours names the role). */
export function caIdOf(trustDomain: TrustDomain): SpiffeId {
  return spiffeIdOf(trustDomain, '/signet/ca');
}

/**
 * Opens a channel to the CA; it connects on the first call. Without `identity` only `attest` is open.
 * `close` lets calls under way end.
 */
export function openCaClient(p: {
  readonly address: CaAddress;
  readonly trustDomain: TrustDomain;
  readonly roots: readonly Certificate[];
  readonly identity: NodeSvid | undefined;
  readonly clock: Clock;
}): NodeApi {
  const what = `CA at ${formatAddress(p.address)}`;
  const channel = tlsChannel(p.address, contextOf(p.roots, p.identity), (leaf) =>
    whyNotCa(leaf, p.trustDomain),
  );
  const client = new NodeApiClient(channel.target, channel.credentials, channel.options);
  const now = (): number => p.clock.wallMs();
  return {
    challenge: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.challenge(request, metadata, options, done),
        now(),
      ),
    attest: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.attest(request, metadata, options, done),
        now(),
      ),
    renew: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.renew(request, metadata, options, done),
        now(),
      ),
    signX509Svids: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.signX509Svids(request, metadata, options, done),
        now(),
      ),
    mintJwtSvids: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.mintJwtSvids(request, metadata, options, done),
        now(),
      ),
    readSecret: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.readSecret(request, metadata, options, done),
        now(),
      ),
    sessionTicketKeys: (request) =>
      callUnary(
        what,
        callMsMax,
        (metadata, options, done) => client.sessionTicketKeys(request, metadata, options, done),
        now(),
      ),
    sync() {
      const stream = client.sync();
      return {
        send: (request) => void stream.write(request),
        responses: messagesOf(what, stream),
        cancel: () => stream.cancel(),
      };
    },
    async close() {
      client.close();
    },
  };
}

export function formatAddress({ host, port }: CaAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Why the certificate is not the CA's, or undefined. The chain has been verified by then. */
export function whyNotCa(leaf: Uint8Array, trustDomain: TrustDomain): string | undefined {
  const verdict = checkLeaf(parseCertificate(leaf));
  if (verdict.kind === 'refused') return `its certificate is not an SVID: ${verdict.detail}`;
  const wanted = caIdOf(trustDomain);
  return verdict.id === wanted ? undefined : `it is ${verdict.id}, not ${wanted}`;
}

function contextOf(roots: readonly Certificate[], identity: NodeSvid | undefined): SecureContext {
  const common: SecureContextOptions = {
    // Never absent: Node would trust the roots it ships.
    ca: roots.map((root) => pemEncode('CERTIFICATE', root.der)),
    minVersion: 'TLSv1.3',
    // A resumed session would outlive the trust it stood on.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  if (identity === undefined) return createSecureContext(common);
  const key = privateKeyPemBytes(identity.privateKey);
  try {
    return createSecureContext({ ...common, cert: chainPem(identity), key });
  } finally {
    key.fill(0);
  }
}

function chainPem(identity: NodeSvid): string {
  return identity.chain.map((certificate) => pemEncode('CERTIFICATE', certificate.der)).join('');
}

// An answer of the CA is some signatures and a log write; one that takes longer is lost.
const callMsMax = 10_000;
