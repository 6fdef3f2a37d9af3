/** The authority that signs now, ready to use: what issuance gets of a CA key. */

import { leafTemplate, type Signer, type TbsTemplate } from '../../pki/index.ts';
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
  /** DER, what follows the leaf in a chain: the issuing authority, not the root. */
  readonly chain: readonly Uint8Array[];
  /** DER of the root above it. */
  readonly root: Uint8Array;
}

export function issuerOf(issuing: Authority, root: Authority, signer: Signer): Issuer {
  const { certificate } = issuing;
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
    notAfterMs: Math.min(certificate.notAfterMs, root.certificate.notAfterMs),
    chain: [certificate.der],
    root: root.certificate.der,
  };
}
