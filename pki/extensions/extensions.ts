/** The extensions of a certificate, each known one decoded, each unknown critical one named. */

import { CertificateError } from '../certificate-error.ts';
import type { DerReader } from '../der/reader.ts';
import { type BasicConstraints, decodeBasicConstraints } from './basic-constraints.ts';
import { decodeExtendedKeyUsage } from './extended-key-usage.ts';
import { type RawExtension, readExtension } from './extension.ts';
import { extensionOid } from './extension-oid.ts';
import { decodeAuthorityKeyId, decodeSubjectKeyId } from './key-identifiers.ts';
import { decodeKeyUsage, type KeyUsage } from './key-usage.ts';
import { decodeNameConstraints, type NameConstraints } from './name-constraints.ts';
import { decodeSubjectAltName, type SubjectAltName } from './subject-alt-name.ts';

interface Criticality {
  readonly critical: boolean;
}

export interface Extensions {
  readonly basicConstraints?: Criticality & BasicConstraints;
  readonly keyUsage?: Criticality & { readonly usages: ReadonlySet<KeyUsage> };
  /** Purposes are `serverAuth`, `clientAuth`, or dotted object identifiers. */
  readonly extendedKeyUsage?: Criticality & { readonly purposes: readonly string[] };
  readonly subjectAltName?: Criticality & SubjectAltName;
  readonly subjectKeyId?: Uint8Array;
  readonly authorityKeyId?: Uint8Array;
  readonly nameConstraints?: Criticality & NameConstraints;
  /** Dotted identifiers; a path with any of these must be refused (RFC 5280 §4.2). */
  readonly unknownCritical: readonly string[];
}

/** Reads SEQUENCE OF Extension. Throws on a second extension of one kind (RFC 5280 §4.2). */
export function readExtensions(reader: DerReader): Extensions {
  const list = reader.sequence((items) => items.each(extensionsMax, readExtension));
  if (list.length === 0) {
    throw new CertificateError('certificate_extension', 'the list of extensions is empty');
  }
  const seen = new Set<string>();
  const extensions: MutableExtensions = { unknownCritical: [] };
  for (const extension of list) {
    if (seen.has(extension.oid)) {
      throw new CertificateError(
        'certificate_extension_duplicate',
        `extension ${extension.oid} stands twice`,
      );
    }
    seen.add(extension.oid);
    decodeInto(extensions, extension);
  }
  return extensions;
}

export const noExtensions: Extensions = { unknownCritical: [] };

type MutableExtensions = { -readonly [Name in keyof Extensions]: Extensions[Name] };

function decodeInto(target: MutableExtensions, { oid, critical, value }: RawExtension): void {
  switch (oid) {
    case extensionOid.basicConstraints:
      target.basicConstraints = { critical, ...decodeBasicConstraints(value) };
      break;
    case extensionOid.keyUsage:
      target.keyUsage = { critical, usages: decodeKeyUsage(value) };
      break;
    case extensionOid.extendedKeyUsage:
      target.extendedKeyUsage = { critical, purposes: decodeExtendedKeyUsage(value) };
      break;
    case extensionOid.subjectAltName:
      target.subjectAltName = { critical, ...decodeSubjectAltName(value) };
      break;
    case extensionOid.subjectKeyId:
      target.subjectKeyId = decodeSubjectKeyId(value);
      break;
    case extensionOid.authorityKeyId: {
      const keyId = decodeAuthorityKeyId(value);
      if (keyId !== undefined) target.authorityKeyId = keyId;
      break;
    }
    case extensionOid.nameConstraints:
      target.nameConstraints = { critical, ...decodeNameConstraints(value) };
      break;
    default:
      if (critical) target.unknownCritical = [...target.unknownCritical, oid];
  }
}

// A dozen in practice.
const extensionsMax = 64;
