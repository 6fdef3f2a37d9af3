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
  let extensions: Extensions = noExtensions;
  for (const extension of list) {
    if (seen.has(extension.oid)) {
      throw new CertificateError(
        'certificate_extension_duplicate',
        `extension ${extension.oid} stands twice`,
      );
    }
    seen.add(extension.oid);
    extensions = { ...extensions, ...decode(extension, extensions) };
  }
  return extensions;
}

export const noExtensions: Extensions = { unknownCritical: [] };

function decode({ oid, critical, value }: RawExtension, before: Extensions): Partial<Extensions> {
  switch (oid) {
    case extensionOid.basicConstraints:
      return { basicConstraints: { critical, ...decodeBasicConstraints(value) } };
    case extensionOid.keyUsage:
      return { keyUsage: { critical, usages: decodeKeyUsage(value) } };
    case extensionOid.extendedKeyUsage:
      return { extendedKeyUsage: { critical, purposes: decodeExtendedKeyUsage(value) } };
    case extensionOid.subjectAltName:
      return { subjectAltName: { critical, ...decodeSubjectAltName(value) } };
    case extensionOid.subjectKeyId:
      return { subjectKeyId: decodeSubjectKeyId(value) };
    case extensionOid.authorityKeyId: {
      const authorityKeyId = decodeAuthorityKeyId(value);
      return authorityKeyId === undefined ? {} : { authorityKeyId };
    }
    case extensionOid.nameConstraints:
      return { nameConstraints: { critical, ...decodeNameConstraints(value) } };
    default:
      return critical ? { unknownCritical: [...before.unknownCritical, oid] } : {};
  }
}

// A dozen in practice.
const extensionsMax = 64;
