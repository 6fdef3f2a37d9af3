/** Where the admin API is: the CA's socket, or its TCP listener with an SVID of this process from the Workload API. */

import { constants } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import {
  type AdminIdentity,
  type AdminTarget,
  SpiffeWorkloadAPIClient,
  type X509SVIDResponse,
} from '../api/index.ts';
import { CodedError } from '../core/index.ts';
import {
  parseCertificate,
  pemEncode,
  privateKeyFromPkcs8Der,
  splitCertificates,
} from '../pki/index.ts';
import { messagesOf, metadataOf, unixChannel } from '../rpc/index.ts';
import { checkLeaf, parseSpiffeId, spiffeIdOf, trustDomainOf } from '../spiffe/index.ts';
import { endpointSocketPath } from './endpoint-socket.ts';

export class AdminAddressError extends CodedError<'admin_address' | 'admin_identity'> {
  override readonly name = 'AdminAddressError';
  override readonly kind = 'invalid_argument';
}

/** Throws {@link AdminAddressError} or EndpointError. The Workload API is asked at the first call. */
export function adminTargetOf(p: {
  readonly socket: string;
  readonly adminAddress: string | undefined;
  readonly svidSocket: string;
}): AdminTarget {
  if (p.adminAddress === undefined) return { kind: 'unix', path: p.socket };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(p.adminAddress);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port > 0 && port < 65_536)) {
    throw new AdminAddressError(
      'admin_address',
      `${JSON.stringify(p.adminAddress)} is not an address`,
      { remedy: 'write host:port, for example 10.0.0.5:7444' },
    );
  }
  const svidSocket = endpointSocketPath(p.svidSocket);
  return { kind: 'tls', host, port, identity: () => fetchIdentity(svidSocket) };
}

async function fetchIdentity(socketPath: string): Promise<AdminIdentity> {
  const channel = unixChannel(socketPath);
  const client = new SpiffeWorkloadAPIClient(channel.target, channel.credentials, channel.options);
  try {
    const stream = client.fetchX509Svid({}, metadataOf({ 'workload.spiffe.io': 'true' }));
    for await (const message of messagesOf(`agent on ${socketPath}`, stream)) {
      return identityOf(message, socketPath);
    }
  } finally {
    client.close();
  }
  throw noIdentity(socketPath);
}

/** The first SVID is the default one (SPIFFE Workload API §5.3). */
function identityOf(message: X509SVIDResponse, socketPath: string): AdminIdentity {
  const [svid] = message.svids;
  if (svid === undefined) throw noIdentity(socketPath);
  const key = privateKeyFromPkcs8Der(svid.x509SvidKey);
  const context = createSecureContext({
    cert: pemOf(svid.x509Svid),
    key: key.export({ format: 'pem', type: 'pkcs8' }),
    // Never absent: Node would trust the roots it ships.
    ca: pemOf(svid.bundle),
    minVersion: 'TLSv1.3',
    // A resumed session would outlive the trust it stood on.
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const wanted = spiffeIdOf(trustDomainOf(parseSpiffeId(svid.spiffeId)), '/signet/ca');
  return {
    context,
    checkServer(leaf) {
      const verdict = checkLeaf(parseCertificate(leaf));
      if (verdict.kind === 'refused') return `its certificate is not an SVID: ${verdict.detail}`;
      return verdict.id === wanted ? undefined : `it is ${verdict.id}, not ${wanted}`;
    },
  };
}

function pemOf(concatenatedDer: Uint8Array): string {
  return splitCertificates(concatenatedDer)
    .map((der) => pemEncode('CERTIFICATE', der))
    .join('');
}

function noIdentity(socketPath: string): AdminAddressError {
  return new AdminAddressError('admin_identity', `the agent on ${socketPath} has no SVID for us`, {
    remedy: 'register an entry for this process, and give its SPIFFE ID a role in the CA',
  });
}
