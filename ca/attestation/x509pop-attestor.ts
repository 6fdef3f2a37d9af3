/**
 * Node attestation by X.509 proof of possession: the node has the key of a certificate that an authority
 * of the operator's own issued, such as the one a machine gets when it is installed.
 */

import { hash, type KeyObject } from 'node:crypto';
import { X509PopEvidence } from '../../api/index.ts';
import { type Clock, CodedError, concatBytes, type Random, utf8Bytes } from '../../core/index.ts';
import {
  type Certificate,
  parseCertificate,
  publicKeyOf,
  type SignatureAlgorithm,
  verifyPath,
  verifySignature,
} from '../../pki/index.ts';
import { type SpiffeId, spiffeIdOf, type TrustDomain } from '../../spiffe/index.ts';
import { SelectorError } from '../registry/selector.ts';
import { challengeNonces } from './challenge-nonce.ts';
import type { Attestation, NodeAttestor } from './node-attestor.ts';
import { x509popSelectors } from './x509pop-selectors.ts';

export function x509popAttestor(deps: {
  readonly trustDomain: TrustDomain;
  readonly anchors: readonly Certificate[];
  readonly clock: Clock;
  readonly random: Random;
}): NodeAttestor {
  const nonces = challengeNonces({ ...deps, purpose: 'signet x509pop nonce v1' });
  return {
    name: x509popAttestorName,
    challenge: () => nonces.create(),
    async attest({ evidence, csr }): Promise<Attestation> {
      const shown = readEvidence(evidence);
      if (typeof shown === 'string') return refused('evidence_invalid', shown);
      const [leaf] = shown.chain;

      // The cheap question first: a stranger without a fresh nonce costs one hash.
      const nonce = nonces.judge(shown.nonce);
      if (nonce !== 'good') {
        return refused(
          nonce === 'expired' ? 'nonce_expired' : 'nonce_unknown',
          nonce === 'expired' ? 'the nonce is older than a minute' : 'the nonce is not of this CA',
        );
      }
      const keyFault = shown.chain.map(whyKeyIsUnfit).find((fault) => fault !== undefined);
      if (keyFault !== undefined) return refused('key_kind', keyFault);

      // No purpose: what a machine's certificate was made for is the operator's business; which
      // authority made it is ours.
      const verdict = verifyPath({
        chain: shown.chain,
        anchors: deps.anchors,
        atMs: deps.clock.wallMs(),
      });
      if (verdict.kind === 'refused') return refused('chain_refused', verdict.detail);
      const id = x509popNodeId(deps.trustDomain, leaf);
      const use = whyNotForPossession(leaf);
      if (use !== undefined) return refused('certificate_use', use, id);
      const signed = possessionBytes(shown.nonce, csr);
      if (!isSignedByLeaf(leaf, signed, shown.signature)) {
        return refused('signature', 'the signature is not of the key in the certificate', id);
      }
      return attested(id, verdict.path);
    },
  };
}

/** The SPIFFE ID of the node with this certificate: another certificate makes it another node. */
export function x509popNodeId(trustDomain: TrustDomain, leaf: Pick<Certificate, 'der'>): SpiffeId {
  return spiffeIdOf(
    trustDomain,
    `/signet/node/x509pop/${hash('sha256', leaf.der, 'hex').slice(0, 40)}`,
  );
}

/** What the node signs: it binds the nonce to the key that the node SVID will be for. */
export function possessionBytes(nonce: Uint8Array, csr: Uint8Array): Uint8Array {
  return concatBytes(utf8Bytes('signet x509pop v1\0'), nonce, hash('sha256', csr, 'buffer'));
}

interface Shown {
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly nonce: Uint8Array;
  readonly signature: Uint8Array;
}

/** What is shown, or why it cannot be read. */
function readEvidence(evidence: Uint8Array): Shown | string {
  if (evidence.length > evidenceBytesMax) {
    return `the evidence has ${evidence.length} bytes, at most ${evidenceBytesMax} are read`;
  }
  let message: X509PopEvidence;
  try {
    message = X509PopEvidence.decode(evidence);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `the evidence is not an X509PopEvidence: ${error.message}`;
  }
  if (message.chain.length > chainMax) {
    return `the chain has ${message.chain.length} certificates, at most ${chainMax} are read`;
  }
  try {
    const [leaf, ...rest] = message.chain.map((der) => parseCertificate(new Uint8Array(der)));
    if (leaf === undefined) return 'the chain is empty';
    return {
      chain: [leaf, ...rest],
      nonce: new Uint8Array(message.nonce),
      signature: new Uint8Array(message.signature),
    };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return `a certificate of the chain: ${error.message}`;
  }
}

function attested(id: SpiffeId, path: readonly Certificate[]): Attestation {
  try {
    return { kind: 'attested', id, selectors: x509popSelectors(path) };
  } catch (error) {
    // A name that cannot be a selector is none of which an entry could speak.
    if (!(error instanceof SelectorError)) throw error;
    return refused('certificate_names', error.message, id);
  }
}

/** Judged before any signature is verified: a huge key would make that a favour. */
function whyKeyIsUnfit(certificate: Certificate): string | undefined {
  const key = keyOf(certificate);
  if (key === undefined) return 'a key of the chain cannot be read';
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ec') return undefined;
  if (type !== 'rsa') return `a key of kind ${type ?? 'unknown'} is not taken; use EC or RSA`;
  const bits = details?.modulusLength ?? 0;
  if (bits >= rsaBitsMin && bits <= rsaBitsMax) return undefined;
  return `an RSA key of ${bits} bits is not taken; ${rsaBitsMin} to ${rsaBitsMax} are`;
}

function keyOf(certificate: Certificate): KeyObject | undefined {
  try {
    return publicKeyOf(certificate);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return undefined;
  }
}

/** RFC 5280 §4.2.1.3 and §4.2.1.9: an authority's key signs certificates, and is no machine's. */
function whyNotForPossession({ extensions }: Certificate): string | undefined {
  if (extensions.basicConstraints?.ca === true) return 'the certificate is an authority’s';
  const usages = extensions.keyUsage?.usages;
  if (usages === undefined || usages.has('digitalSignature')) return undefined;
  return 'the certificate’s key usage does not allow digital signatures';
}

function isSignedByLeaf(leaf: Certificate, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = publicKeyOf(leaf);
  return verifySignature(algorithmFor(key), key, bytes, signature);
}

/** One algorithm for each kind of key, so that nobody chooses a weaker one: see `agent/x509pop.ts`. */
function algorithmFor(key: KeyObject): SignatureAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return 'rsa-sha256';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === 'secp384r1') return 'ecdsa-sha384';
  return curve === 'secp521r1' ? 'ecdsa-sha512' : 'ecdsa-sha256';
}

/** `claim` only once the chain is verified: before that a name is only something somebody said. */
function refused(code: string, detail: string, claim?: SpiffeId): Attestation {
  const remedy = 'see what the certificate authority of this machine issued, and the CA’s caBundle';
  return { kind: 'refused', code, detail, remedy, ...(claim === undefined ? {} : { claim }) };
}

export const x509popAttestorName = 'x509pop';

// Eight certificates of a few kilobytes.
const evidenceBytesMax = 64 * 1024;
const chainMax = 8;
const rsaBitsMin = 2048;
const rsaBitsMax = 8192;
