/** An SVID as the files that old applications read: PEM, or one PKCS#12 keystore. */

import { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import { utf8Bytes, type Random } from '../../core/index.ts';
import { type Certificate, encodePkcs12, pemEncode } from '../../pki/index.ts';
import { privateKeyPemBytes } from '../../sds-server/index.ts';
import { pathOf, type SpiffeId } from '../../spiffe/index.ts';

/** One identity with what its peers are verified by. */
export interface ExportedSvid {
  readonly id: SpiffeId;
  /** Leaf first. */
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
  /** The roots of its own trust domain. */
  readonly roots: readonly Certificate[];
}

export interface SvidFile {
  readonly name: string;
  readonly content: Uint8Array;
  readonly mode: number;
}

export type SvidFormat =
  | { readonly kind: 'pem' }
  | { readonly kind: 'pkcs12'; readonly password: string };

/** Throws KeystoreError for a password that no reader takes. Whoever calls overwrites the contents after use. */
export function svidFiles(
  svid: ExportedSvid,
  format: SvidFormat,
  random: Random,
): readonly SvidFile[] {
  if (format.kind === 'pkcs12') {
    const { privateKey, chain, roots } = svid;
    const name = pathOf(svid.id).slice(1).replaceAll('/', '-') || 'svid';
    const content = encodePkcs12(
      { name, privateKey, chain, trusted: roots },
      format.password,
      random,
    );
    return [{ name: 'svid.p12', content, mode: privateMode }];
  }
  return [
    { name: 'svid.pem', content: pemOf(svid.chain), mode: publicMode },
    { name: 'svid_key.pem', content: privateKeyPemBytes(svid.privateKey), mode: privateMode },
    { name: 'svid_bundle.pem', content: pemOf(svid.roots), mode: publicMode },
  ];
}

function pemOf(certificates: readonly Certificate[]): Uint8Array {
  return utf8Bytes(certificates.map(({ der }) => pemEncode('CERTIFICATE', der)).join(''));
}

/** Zeroes what was written: keys among it. */
export function wipe(files: readonly SvidFile[]): void {
  for (const { content } of files)
    Buffer.from(content.buffer, content.byteOffset, content.length).fill(0);
}

const privateMode = 0o600;
const publicMode = 0o644;
