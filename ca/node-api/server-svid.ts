/**
 * The CA's own server certificate: issued through the same cycle as every other, over a key that lives in
 * memory alone, and renewed at half its life or as soon as another root signs. Looked at often: it is cheap, and
 * wall time may jump.
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
import { type ClockJudgement, unquestionedClock } from '../authority/clock-trust.ts';
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
  /** How far the time may be relied on; absent: wholly. */
  readonly clockJudgement?: ClockJudgement;
}

/**
 * Resolves when there is a certificate to serve with, or when there is no authority to ask for one: then nobody
 * is served until there is. Throws {@link IssuanceRefusedError}.
 */
export async function startServerSvid(deps: ServerSvidDeps): Promise<ServerSvid> {
  const { clock, log, trust, clockJudgement = unquestionedClock } = deps;
  let svid: Svid | undefined;
  let timer: Timer | undefined;
  let renewing: Promise<void> | undefined;
  let closed = false;
  let told: string | undefined;
  const tell = (error: unknown): void => {
    const reason = describeError(error);
    // It is tried for again within a second: each reason is told once.
    if (reason !== told) log.error("the CA's own certificate could not be renewed", { reason });
    told = reason;
  };
  try {
    svid = await makeSvid(deps);
  } catch (error) {
    if (!(error instanceof IssuanceRefusedError) || error.kind !== 'unavailable') throw error;
    tell(error);
  }

  const isUnder = ({ activeRoot, taintedKeyIds }: Trust, { root, issuerId }: Svid): boolean =>
    equalBytes(activeRoot.certificate.der, root) && !taintedKeyIds.includes(issuerId);
  const isDue = (): boolean => {
    const clockTrust = clockJudgement.trust();
    if (clockTrust === 'wrong') return false;
    const nowMs = clock.wallMs();
    // By wall time, which a machine that slept has more of than its timers know; and one that was made while
    // the clock was ahead has not begun when the clock is right again.
    if (svid === undefined || nowMs < svid.notBeforeMs || nowMs > svid.notAfterMs) return true;
    if (!isUnder(trust.current(), svid)) return true;
    return clockTrust !== 'doubtful' && nowMs >= svid.halfLifeMs;
  };
  const renew = async (): Promise<void> => {
    try {
      svid = await makeSvid(deps);
      told = undefined;
    } catch (error) {
      // Whatever it was, the certificate in use is good for a while yet, and is tried for again.
      tell(error);
    } finally {
      renewing = undefined;
      schedule(lookMs);
    }
  };
  const look = (): void => {
    if (closed || renewing !== undefined) return;
    if (isDue()) renewing = renew();
    else schedule(lookMs);
  };
  const schedule = (delayMs: number): void => {
    timer?.cancel();
    if (!closed) timer = clock.after(delayMs, look);
  };

  // A node that pins the active root must find that root above our certificate.
  const unsubscribe = trust.subscribe(() => schedule(0));
  schedule(lookMs);
  return {
    context: () =>
      svid !== undefined && svid.notAfterMs + 1000 > clock.wallMs() ? svid.context : undefined,
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
  readonly notBeforeMs: number;
  readonly halfLifeMs: number;
  readonly notAfterMs: number;
  readonly root: Uint8Array;
  /** Lower hexadecimal key id of what signed it. */
  readonly issuerId: string;
}

async function makeSvid({ issuance, clock }: ServerSvidDeps): Promise<Svid> {
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
  const { notBeforeMs, extensions } = parseCertificate(leaf);
  const { authorityKeyId = new Uint8Array() } = extensions;
  const { notAfterMs, root } = issued;
  return {
    context,
    notBeforeMs,
    halfLifeMs: (clock.wallMs() + notAfterMs) / 2,
    notAfterMs,
    root,
    issuerId: toHex(authorityKeyId),
  };
}

// Beside a certificate that lives for two seconds at the least.
const lookMs = 500;
