/**
 * The CA's own server certificate: issued through the same cycle as every other, over a key that lives in
 * memory alone, and renewed at half its life or as soon as another root signs.
 */

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import {
  type Clock,
  type Closable,
  describeError,
  equalBytes,
  type Logger,
  type Timer,
  toHex,
  type Watch,
} from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  parseCertificate,
  pemEncode,
} from '../../pki/index.ts';
import type { Trust } from '../authority/trust.ts';
import { IssuanceRefusedError } from '../issuance/issuance-refusal.ts';
import { type IssuanceDeps, issueX509Svid } from '../issuance/issue.ts';

export interface ServerSvid extends Closable {
  /** For the TLS listener; undefined once the certificate has ended, so that it is never presented. */
  context(): SecureContext | undefined;
}

export interface ServerSvidDeps {
  readonly issuance: IssuanceDeps;
  readonly trust: Watch<Trust>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Resolves when there is a certificate to serve with. Throws {@link IssuanceRefusedError}. */
export async function startServerSvid(deps: ServerSvidDeps): Promise<ServerSvid> {
  const { clock, log, trust } = deps;
  let svid = await makeSvid(deps);
  let timer: Timer | undefined;
  let renewing: Promise<void> | undefined;
  let closed = false;

  const isUnder = ({ activeRoot, taintedKeyIds }: Trust): boolean =>
    equalBytes(activeRoot.certificate.der, svid.root) && !taintedKeyIds.includes(svid.issuerId);
  const renew = async (): Promise<void> => {
    try {
      svid = await makeSvid(deps);
      // The root may have changed while it was made.
      schedule(isUnder(trust.current()) ? halfLifeMs() : retryMs);
    } catch (error) {
      // Whatever it was, the certificate in use is good for a while yet, and is tried for again.
      log.error("the CA's own certificate could not be renewed", { reason: describeError(error) });
      schedule(retryMs);
    } finally {
      renewing = undefined;
    }
  };
  const begin = (): void => {
    if (!closed) renewing ??= renew();
  };
  const schedule = (delayMs: number): void => {
    timer?.cancel();
    if (!closed) timer = clock.after(delayMs, begin);
  };
  const halfLifeMs = (): number => Math.max(retryMs, (svid.notAfterMs - clock.wallMs()) / 2);

  // A node that pins the active root must find that root above our certificate.
  const unsubscribe = trust.subscribe((now) => {
    if (!isUnder(now)) schedule(0);
  });
  schedule(halfLifeMs());
  return {
    context: () => (svid.notAfterMs + 1000 > clock.wallMs() ? svid.context : undefined),
    async close() {
      closed = true;
      unsubscribe();
      timer?.cancel();
      await renewing;
    },
  };
}

interface Svid {
  readonly context: SecureContext;
  readonly notAfterMs: number;
  readonly root: Uint8Array;
  /** Lower hexadecimal key id of what signed it. */
  readonly issuerId: string;
}

async function makeSvid({ issuance }: ServerSvidDeps): Promise<Svid> {
  const { privateKey } = generateKeyPair('ec-p256');
  const csr = await createCertificateRequest(keySigner(privateKey));
  const issued = await issueX509Svid(issuance, { subject: { kind: 'ca_server' }, csr });
  if (issued.kind === 'refused') throw new IssuanceRefusedError(issued);
  const context = createSecureContext({
    // The root comes last, so that a node that knows only its hash can find it.
    cert: [...issued.chain, issued.root].map((der) => pemEncode('CERTIFICATE', der)).join(''),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    // Peers are judged against the bundle by ourselves; without this Node loads its default roots.
    ca: [],
    minVersion: 'TLSv1.3',
    // RFC 8446 §2.2: a resumed session is not verified again, so none may be resumed.
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const [leaf = new Uint8Array()] = issued.chain;
  const { authorityKeyId = new Uint8Array() } = parseCertificate(leaf).extensions;
  const { notAfterMs, root } = issued;
  return { context, notAfterMs, root, issuerId: toHex(authorityKeyId) };
}

const retryMs = 500;
