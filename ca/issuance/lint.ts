/**
 * The last look before the key: the bytes to be signed are read back by the strict parser and must say
 * what was meant, and be an X509-SVID. A mistake of the encoder ends here, not in a signature.
 */

import { equalBytes, toHex } from '../../core/index.ts';
import {
  type Certificate,
  issueCertificate,
  type KeyKind,
  parseCertificate,
  type Signer,
} from '../../pki/index.ts';
import { checkLeaf, type SpiffeId } from '../../spiffe/index.ts';
import type { Issuer } from '../authority/issuer.ts';
import { LintError } from './issuance-refusal.ts';
import type { Validity } from './validity.ts';

/** What the certificate is to say. */
export interface LeafIntent {
  readonly id: SpiffeId;
  readonly dnsNames: readonly string[];
  readonly serial: Uint8Array;
  readonly spki: Uint8Array;
  readonly keyKind: KeyKind;
  readonly keyId: Uint8Array;
  readonly validity: Validity;
}

/** The certificate those bytes will be, but for its signature. Throws {@link LintError}. */
export async function lintLeaf(
  tbs: Uint8Array,
  intent: LeafIntent,
  issuer: Issuer,
): Promise<Certificate> {
  const certificate = parseCertificate(await issueCertificate(tbs, unsigned(issuer.signer)));
  const verdict = checkLeaf(certificate);
  // X509-SVID §3 and §4: rules of our checklist.
  if (verdict.kind === 'refused') throw fault(intent, `${verdict.code}: ${verdict.detail}`);
  const wrong = differences(certificate, intent, issuer);
  if (wrong.length > 0) throw fault(intent, `not as meant: ${wrong.join(', ')}`);
  return certificate;
}

function differences(certificate: Certificate, intent: LeafIntent, issuer: Issuer): string[] {
  const { extensions } = certificate;
  const names = extensions.subjectAltName;
  const { authorityKeyId, subjectKeyId, keyUsage, extendedKeyUsage } = extensions;
  const checks: readonly (readonly [string, boolean])[] = [
    ['tbs', certificate.der.length > certificate.tbs.length],
    ['serial', certificate.serial === toHex(intent.serial).replace(/^(?:00)+/, '')],
    ['issuer', equalBytes(certificate.issuer, issuer.name)],
    ['notBefore', certificate.notBeforeMs === intent.validity.notBeforeMs],
    ['notAfter', certificate.notAfterMs === intent.validity.notAfterMs],
    ['subject', equalBytes(certificate.subject, emptyName)],
    ['publicKey', equalBytes(certificate.spki, intent.spki)],
    ['uri', names?.uris.length === 1 && names.uris[0] === intent.id],
    ['dnsNames', sameTexts(names?.dnsNames ?? [], intent.dnsNames)],
    ['otherNames', (names?.ipAddresses.length ?? 0) + (names?.emails.length ?? 0) === 0],
    ['otherNames', (names?.others ?? 0) === 0],
    // X509-SVID §3.2: with an empty subject the names must be critical.
    ['subjectAltName', names?.critical === true],
    ['authorityKeyId', authorityKeyId !== undefined && equalBytes(authorityKeyId, issuer.keyId)],
    ['subjectKeyId', subjectKeyId !== undefined && equalBytes(subjectKeyId, intent.keyId)],
    ['keyUsage', keyUsage?.usages.size === (intent.keyKind.startsWith('rsa') ? 2 : 1)],
    ['keyUsage', keyUsage?.usages.size === 1 || keyUsage?.usages.has('keyEncipherment') === true],
    ['extendedKeyUsage', extendedKeyUsage?.purposes.length === 2],
    ['basicConstraints', extensions.basicConstraints?.critical === true],
    ['nameConstraints', extensions.nameConstraints === undefined],
    ['unknown extensions', extensions.unknownCritical.length === 0],
  ];
  return checks.filter(([, holds]) => !holds).map(([name]) => name);
}

/** The issuer's algorithm with no key behind it: a certificate's form, which nobody could mistake for one. */
function unsigned(signer: Signer): Signer {
  return { ...signer, sign: () => Promise.resolve(placeholderSignature) };
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, index) => text === right[index]);
}

function fault(intent: LeafIntent, detail: string): LintError {
  return new LintError('lint_failed', `the certificate for ${intent.id} was not signed: ${detail}`);
}

// Name ::= RDNSequence with nothing in it.
const emptyName = Uint8Array.of(0x30, 0x00);
// Ecdsa-Sig-Value of r = 1, s = 1.
const placeholderSignature = Uint8Array.of(0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01);
