/** The authority that signs now, ready to use: what issuance gets of a CA key. */

import { type Certificate, leafTemplate, type Signer, type TbsTemplate } from '../../pki/index.ts';
import type { Authority } from './authority.ts';

export interface Issuer {
  /** Lower hexadecimal key id. */
  readonly id: string;
  readonly rootId: string;
  readonly signer: Signer;
  readonly keyId: Uint8Array;
  readonly name: Uint8Array;
  readonly template: TbsTemplate;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** DER, what follows the leaf in a chain: the issuing authority and what stands between it and the root. */
  readonly chain: readonly Uint8Array[];
  /** DER of the root above it. */
  readonly root: Uint8Array;
}

/** An authority as the signer of the list of what was revoked below it. */
export interface ListIssuer {
  /** Lower hexadecimal key id. */
  readonly id: string;
  readonly certificate: Certificate;
  readonly signer: Signer;
}

export function issuerOf(issuing: Authority, root: Authority, signer: Signer): Issuer {
  const { certificate, above = [] } = issuing;
  const keyId = Buffer.from(issuing.id, 'hex');
  return {
    id: issuing.id,
    rootId: root.id,
    signer,
    keyId,
    name: certificate.subject,
    template: leafTemplate({
      issuerName: certificate.subject,
      issuerKeyId: keyId,
      signatureAlgorithm: signer.algorithm,
    }),
    notBeforeMs: certificate.notBeforeMs,
    notAfterMs: Math.min(
      certificate.notAfterMs,
      root.certificate.notAfterMs,
      ...above.map(({ notAfterMs }) => notAfterMs),
    ),
    chain: [certificate.der, ...above.map(({ der }) => der)],
    root: root.certificate.der,
  };
}
