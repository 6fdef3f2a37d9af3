/** Nodes of the mesh as the CA lets them in: a join token each, a key each, one connection for all. */

import { createSecureContext, type SecureContext } from 'node:tls';
import { type AdminClient, type AttestResponse, NodeApiClient } from '../../api/index.ts';
import { systemClock } from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  pemEncode,
  privateKeyToPkcs8Der,
} from '../../pki/index.ts';
import { callUnary, tlsChannel } from '../../rpc/index.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';

export interface NodeIdentity {
  readonly id: string;
  /** PEM. */
  readonly certificates: string;
  readonly privateKey: string;
}

export interface Nodes {
  /** PEM. */
  readonly roots: readonly string[];
  readonly identities: readonly NodeIdentity[];
}

/** Attests `count` nodes, whose second name is `aliasId`. */
export async function attestNodes(p: {
  readonly admin: AdminClient;
  readonly agentAddress: string;
  readonly count: number;
  readonly aliasId: string;
}): Promise<Nodes> {
  const bundle = parseBundle(await p.admin.bundle(), parseTrustDomain('mesh.test'));
  const roots = bundle.x509Authorities.map((root) => pemEncode('CERTIFICATE', root.der));
  const at = p.agentAddress.lastIndexOf(':');
  const address = { host: p.agentAddress.slice(0, at), port: Number(p.agentAddress.slice(at + 1)) };
  const context: SecureContext = createSecureContext({ ca: roots, minVersion: 'TLSv1.3' });
  const channel = tlsChannel(address, context, () => undefined);
  const stranger = new NodeApiClient(channel.target, channel.credentials, channel.options);
  const identities: NodeIdentity[] = [];
  let left = p.count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      identities.push(await attestOne(p.admin, stranger, p.aliasId));
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
  } finally {
    stranger.close();
  }
  return { roots, identities };
}

async function attestOne(
  admin: AdminClient,
  stranger: NodeApiClient,
  aliasId: string,
): Promise<NodeIdentity> {
  const { token, spiffeId } = await admin.createToken({ ttlSeconds: 3600, alias: aliasId });
  const { privateKey } = generateKeyPair('ec-p256');
  const csr = Buffer.from(await createCertificateRequest(keySigner(privateKey)));
  const evidence = Buffer.from(token);
  const { chain } = await callUnary<AttestResponse>(
    "the CA's attest",
    60_000,
    (metadata, options, done) =>
      stranger.attest(
        { attestor: 'join_token', evidence, csr, agentVersion: 'bench' },
        metadata,
        options,
        done,
      ),
    systemClock.wallMs(),
  );
  return {
    id: spiffeId,
    certificates: chain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
    privateKey: pemEncode('PRIVATE KEY', privateKeyToPkcs8Der(privateKey)),
  };
}

// So many attestations the CA has under way; the others wait here and not there.
const lanes = 32;
