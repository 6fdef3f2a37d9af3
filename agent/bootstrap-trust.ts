/**
 * The first trust: how an agent that has no bundle yet knows that it talks to its CA.
 *
 * With a pinned root the CA is asked for its chain over a TLS connection that carries nothing else; the
 * root is taken from that chain by its hash, and everything after is verified against it.
 */

import { hash } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { type Clock, equalBytes, readText } from '../core/index.ts';
import {
  type Certificate,
  parseCertificate,
  parsePemCertificates,
  verifyPath,
} from '../pki/index.ts';
import { peerChainOf, tlsServerName } from '../rpc/index.ts';
import { parseBundle, type TrustDomain } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import { type CaAddress, formatAddress, whyNotCa } from './ca-client.ts';
import type { CaTrust } from './config.ts';

export interface BootstrapTarget {
  readonly address: CaAddress;
  readonly trust: CaTrust;
  readonly trustDomain: TrustDomain;
}

/**
 * The roots to trust until the CA has sent its bundle. Throws {@link AgentError}: `unavailable` if the CA
 * cannot be reached, which is worth a retry; anything else is not.
 */
export async function bootstrapRoots(
  target: BootstrapTarget,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Certificate[]> {
  if (target.trust.kind === 'bundle_file') {
    return readBundleFile(target.trust.path, target.trustDomain);
  }
  const chain = await presentedChain(target.address, clock, signal);
  return [
    pickPinnedRoot({
      chain,
      sha256: target.trust.sha256,
      trustDomain: target.trustDomain,
      atMs: clock.wallMs(),
      name: `CA at ${formatAddress(target.address)}`,
    }),
  ];
}

/** The root of the chain whose DER has the hash, once the chain is shown to be the CA's. Throws {@link AgentError}. */
export function pickPinnedRoot(p: {
  readonly chain: readonly Uint8Array[];
  /** Lower hexadecimal. */
  readonly sha256: string;
  readonly trustDomain: TrustDomain;
  readonly atMs: number;
  readonly name: string;
}): Certificate {
  const refuse = (reason: string, remedy: string, cause?: unknown): never => {
    throw new AgentError('ca_not_trusted', 'permission_denied', `${p.name}: ${reason}`, {
      remedy,
      ...(cause === undefined ? {} : { cause }),
    });
  };
  const rootDer = p.chain.find((der) => hash('sha256', der, 'hex') === p.sha256);
  const [leafDer] = p.chain;
  if (rootDer === undefined || leafDer === undefined) {
    return refuse(
      `its chain has no root with SHA-256 ${p.sha256}`,
      'compare ca.rootSha256 with what signet token create prints; a root rotation changes it',
    );
  }
  let parsed: readonly Certificate[];
  let root: Certificate;
  try {
    parsed = p.chain.filter((der) => der !== rootDer).map((der) => parseCertificate(der));
    root = parseCertificate(rootDer);
  } catch (error) {
    return refuse('its chain cannot be read', 'check that the address is the CA', error);
  }
  if (!equalBytes(root.issuer, root.subject)) {
    return refuse(
      'the pinned certificate is not a root',
      'pin the hash that signet token create prints',
    );
  }
  const verdict = verifyPath({
    chain: parsed,
    anchors: [root],
    atMs: p.atMs,
    purpose: 'serverAuth',
  });
  if (verdict.kind === 'refused') {
    return refuse(
      `its chain does not verify: ${verdict.detail}`,
      'check the clocks of both machines',
    );
  }
  const reason = whyNotCa(leafDer, p.trustDomain);
  return reason === undefined ? root : refuse(reason, 'check trustDomain and ca.address');
}

async function readBundleFile(
  path: string,
  trustDomain: TrustDomain,
): Promise<readonly Certificate[]> {
  const text = await readText(path);
  const refuse = (reason: string, cause?: unknown): never => {
    throw new AgentError('bootstrap_bundle', 'failed_precondition', `${path} ${reason}`, {
      remedy: 'write it with: signet bundle show',
      ...(cause === undefined ? {} : { cause }),
    });
  };
  let roots: readonly Certificate[];
  try {
    roots = text.includes('-----BEGIN')
      ? parsePemCertificates(text)
      : parseBundle(text, trustDomain).x509Authorities;
  } catch (error) {
    return refuse('is neither a SPIFFE bundle nor PEM certificates', error);
  }
  return roots.length > 0 ? roots : refuse('holds no certificate');
}

/** What the CA presents, unverified: nothing is sent on this connection. */
function presentedChain(
  address: CaAddress,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const name = `CA at ${formatAddress(address)}`;
    const socket: TLSSocket = connect({
      host: address.host,
      port: address.port,
      servername: tlsServerName,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      // The chain is judged by the pinned root below, not by a store.
      rejectUnauthorized: false,
    });
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', abort);
      socket.destroy();
    };
    const fail = (reason: string, cause?: unknown): void => {
      end();
      reject(new AgentError('ca_unreachable', 'unavailable', `${name}: ${reason}`, { cause }));
    };
    const abort = (): void => fail('given up');
    const timer = clock.after(handshakeMsMax, () =>
      fail(`no TLS handshake within ${handshakeMsMax / 1000} seconds`),
    );
    socket.once('secureConnect', () => {
      const chain = peerChainOf(socket);
      end();
      resolve(chain);
    });
    socket.on('error', (error) => fail('cannot connect', error));
    socket.once('close', () => fail('closed the connection'));
    signal.addEventListener('abort', abort, { once: true });
  });
}

// Longer than any handshake that is going to end well.
const handshakeMsMax = 10_000;
