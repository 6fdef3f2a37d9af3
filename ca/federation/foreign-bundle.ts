/**
 * The bundle of another trust domain, as an operator gives it: a SPIFFE bundle document or PEM certificates,
 * judged before anybody trusts by it. Pure.
 */

import { CodedError } from '../../core/index.ts';
import { type Certificate, keyIdOfSpki, parsePemCertificates } from '../../pki/index.ts';
import {
  type Bundle,
  formatBundle,
  parseBundle,
  spiffeIdOf,
  type TrustDomain,
} from '../../spiffe/index.ts';
import { toHex } from '../../core/index.ts';
import { FederationError } from './federation-error.ts';

export interface ForeignBundle {
  readonly bundle: Bundle;
  /** The document, written anew: what is passed on is what was understood. */
  readonly document: string;
}

export interface ReadForeignBundle {
  readonly trustDomain: TrustDomain;
  readonly text: string;
  /** Our own, which no other domain may speak for. */
  readonly own: Bundle;
  /** What stands now, if something does. */
  readonly known: Bundle | undefined;
  readonly nowMs: number;
  /** An operator takes an older sequence, or a bundle that trusts nobody. */
  readonly force: boolean;
}

/** Throws {@link FederationError} that says what is wrong with it. */
export function readForeignBundle(p: ReadForeignBundle): ForeignBundle {
  const { trustDomain, text, own, known, nowMs, force } = p;
  if (trustDomain === own.trustDomain) {
    throw new FederationError(
      'federated_bundle_own',
      `${trustDomain} is this CA's own trust domain: its bundle comes from its authorities alone`,
    );
  }
  if (text.length > textLengthMax) {
    throw new FederationError(
      'federated_bundle_size',
      `the bundle has ${text.length} characters, at most ${textLengthMax} are taken`,
    );
  }
  refusePrivateKeys(text);
  const isPem = text.includes('-----BEGIN ');
  const given = isPem ? ofCertificates(text, trustDomain) : ofDocument(text, trustDomain);
  checkAuthorities(given, own, nowMs);
  if (given.x509Authorities.length + given.jwtAuthorities.length === 0 && !force) {
    throw new FederationError(
      'federated_bundle_empty',
      `the bundle of ${trustDomain} has no authority: nobody of that domain would be trusted`,
      { remedy: 'use --force if that is meant' },
    );
  }
  const bundle = sequenced(given, known, force);
  return { bundle, document: formatBundle(bundle) };
}

/** True if both trust the same authorities: then a later sequence is all that differs. */
export function sameAuthorities(left: Bundle, right: Bundle): boolean {
  return contentOf(left) === contentOf(right);
}

function ofDocument(text: string, trustDomain: TrustDomain): Bundle {
  try {
    return parseBundle(text, trustDomain);
  } catch (cause) {
    throw invalid(cause, 'is no SPIFFE bundle document');
  }
}

function ofCertificates(text: string, trustDomain: TrustDomain): Bundle {
  try {
    const authorities = new Map(
      parsePemCertificates(text).map((each) => [toHex(each.der), each] as const),
    );
    return {
      trustDomain,
      sequence: 0n,
      x509Authorities: [...authorities.values()],
      jwtAuthorities: [],
    };
  } catch (cause) {
    throw invalid(cause, 'has no PEM certificates that can be read');
  }
}

function invalid(cause: unknown, what: string): unknown {
  if (!(cause instanceof CodedError)) return cause;
  return new FederationError('federated_bundle_invalid', `the text ${what}: ${cause.message}`, {
    cause,
  });
}

/** A key in a file that is passed around is no secret any more; whoever gave it must hear of it. */
function refusePrivateKeys(text: string): void {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----|"(?:d|k|p|q|dp|dq|qi)"\s*:/.test(text)) return;
  throw new FederationError('federated_bundle_private', 'the text holds a private key', {
    remedy: 'have that domain replace the key, and give its public bundle',
  });
}

function checkAuthorities({ trustDomain, ...given }: Bundle, own: Bundle, nowMs: number): void {
  const ownKeys = new Set(own.x509Authorities.map(keyIdOf));
  for (const authority of given.x509Authorities) {
    const fault = faultOf(authority, trustDomain, nowMs);
    const shared = ownKeys.has(keyIdOf(authority)) ? 'its key is one of our own' : undefined;
    if (fault === undefined && shared === undefined) continue;
    throw new FederationError(
      'federated_bundle_authority',
      `the authority with key ${keyIdOf(authority)}: ${fault ?? shared}`,
    );
  }
  const ownIds = new Set(own.jwtAuthorities.map(({ publicKey }) => thumbprint(publicKey)));
  const twice = given.jwtAuthorities.find(({ publicKey }) => ownIds.has(thumbprint(publicKey)));
  if (twice === undefined) return;
  throw new FederationError(
    'federated_bundle_authority',
    `the JWT key ${JSON.stringify(twice.keyId)} is one of our own`,
  );
}

// what signs for a domain is an authority, and if it has an ID it is the domain's own.
function faultOf(
  { extensions, notAfterMs }: Certificate,
  trustDomain: TrustDomain,
  nowMs: number,
): string | undefined {
  const { basicConstraints, keyUsage, subjectAltName } = extensions;
  if (basicConstraints?.ca !== true) return 'it is no authority (basicConstraints)';
  if (keyUsage?.usages.has('keyCertSign') === false) return 'it may not sign certificates';
  if (notAfterMs <= nowMs) return `it ended at ${new Date(notAfterMs).toISOString()}`;
  const id = spiffeIdOf(trustDomain, '');
  const foreign = subjectAltName?.uris.find((uri) => uri.startsWith('spiffe://') && uri !== id);
  return foreign === undefined ? undefined : `it is ${foreign}, not ${id}`;
}

/** B-2: a bundle's sequence grows with every change; what has none is counted here. */
function sequenced(given: Bundle, known: Bundle | undefined, force: boolean): Bundle {
  if (known === undefined) return given;
  if (sameAuthorities(given, known) && given.sequence <= known.sequence) {
    // Nothing new, or a document without a number.
    if (given.sequence === known.sequence || given.sequence === 0n) {
      return { ...given, sequence: known.sequence };
    }
  } else if (given.sequence === 0n && known.sequence < sequenceCountMax) {
    return { ...given, sequence: known.sequence + 1n };
  }
  if (given.sequence > known.sequence || force) return given;
  throw new FederationError(
    'federated_bundle_sequence',
    `the bundle of ${given.trustDomain} has sequence ${given.sequence}, and ${known.sequence} is known`,
    { remedy: 'get the newest one, or use --force to go back' },
  );
}

function contentOf({ x509Authorities, jwtAuthorities, refreshHintSeconds }: Bundle): string {
  return JSON.stringify([
    x509Authorities.map(({ der }) => toHex(der)).toSorted(),
    jwtAuthorities.map(({ keyId, publicKey }) => `${keyId} ${thumbprint(publicKey)}`).toSorted(),
    refreshHintSeconds,
  ]);
}

function keyIdOf({ spki }: Certificate): string {
  return toHex(keyIdOfSpki(spki));
}

function thumbprint(key: Bundle['jwtAuthorities'][number]['publicKey']): string {
  return key.export({ format: 'der', type: 'spki' }).toString('hex');
}

// Below what the admin API reads as one body, and a twentieth of one push to a node that sees several.
const textLengthMax = 160 * 1024;
const sequenceCountMax = 2n ** 64n - 1n;
