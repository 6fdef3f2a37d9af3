/**
 * The sealed form of the cache: AES-256-GCM over the content, bound to what it is for. Pure.
 *
 * `SGNTCACH`, a byte for the version, a 32-bit length, a header in JSON, 12 bytes of nonce, the sealed content,
 * 16 bytes of tag. All before the nonce is authenticated, and with it the boot's id, which is not in the file.
 */

import { Buffer } from 'node:buffer';
import { createCipheriv, createDecipheriv, hash, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { utf8Bytes, utf8Text } from '../../core/index.ts';

export interface SealedFor {
  readonly trustDomain: string;
  readonly nodeId: string;
  readonly bootId: string;
}

export type SealRefusalCode =
  | 'cache_format'
  | 'cache_version'
  | 'cache_trust_domain'
  | 'cache_boot'
  | 'cache_key';

export type Unsealed =
  /** Whoever calls overwrites `content` after use. */
  | { readonly kind: 'opened'; readonly content: Buffer; readonly nodeId: string }
  | { readonly kind: 'refused'; readonly code: SealRefusalCode; readonly detail: string };

/** `content` is left as it is: it holds keys, and whoever made it overwrites it. */
export function seal(
  content: Uint8Array,
  whatFor: SealedFor,
  key: KeyObject,
  nonce: Uint8Array,
): Buffer {
  const header = utf8Bytes(
    JSON.stringify({
      trustDomain: whatFor.trustDomain,
      nodeId: whatFor.nodeId,
      boot: bootTag(whatFor.bootId),
    }),
  );
  const front = Buffer.alloc(frontBytes);
  front.write(magic, 0, 'latin1');
  front.writeUInt8(version, magic.length);
  front.writeUInt32BE(header.length, magic.length + 1);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.concat([front, header, utf8Bytes(whatFor.bootId)]));
  const sealed = [cipher.update(content), cipher.final()];
  return Buffer.concat([front, header, nonce, ...sealed, cipher.getAuthTag()]);
}

export function unseal(file: Buffer, whatFor: Omit<SealedFor, 'nodeId'>, key: KeyObject): Unsealed {
  const refuse = (code: SealRefusalCode, detail: string): Unsealed => ({
    kind: 'refused',
    code,
    detail,
  });
  if (file.length < frontBytes || file.toString('latin1', 0, magic.length) !== magic) {
    return refuse('cache_format', 'it is no sealed cache');
  }
  const found = file.readUInt8(magic.length);
  if (found !== version) return refuse('cache_version', `it is of version ${found}`);
  const headerEnd = frontBytes + file.readUInt32BE(magic.length + 1);
  if (headerEnd - frontBytes > headerBytesMax || file.length < headerEnd + nonceBytes + tagBytes) {
    return refuse('cache_format', 'it is cut short');
  }
  const header = readHeader(file.subarray(frontBytes, headerEnd));
  if (header === undefined) return refuse('cache_format', 'its header cannot be read');
  if (header.trustDomain !== whatFor.trustDomain) {
    return refuse('cache_trust_domain', `it is of the trust domain ${header.trustDomain}`);
  }
  if (header.boot !== bootTag(whatFor.bootId)) {
    return refuse('cache_boot', 'it was sealed before the last reboot, or on another machine');
  }
  const tagStart = file.length - tagBytes;
  const nonceEnd = headerEnd + nonceBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, file.subarray(headerEnd, nonceEnd), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(Buffer.concat([file.subarray(0, headerEnd), utf8Bytes(whatFor.bootId)]));
  decipher.setAuthTag(file.subarray(tagStart));
  const content = decipher.update(file.subarray(nonceEnd, tagStart));
  try {
    decipher.final();
  } catch {
    // The one thing that final() says: the tag is not that of this key and these bytes.
    content.fill(0);
    return refuse('cache_key', 'the key that there is now does not open it, or it was changed');
  }
  return { kind: 'opened', content, nodeId: header.nodeId };
}

const headerSchema = z.object({ trustDomain: z.string(), nodeId: z.string(), boot: z.string() });

function readHeader(bytes: Uint8Array): z.infer<typeof headerSchema> | undefined {
  try {
    return headerSchema.parse(JSON.parse(utf8Text(bytes) ?? ''));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/** Tells one boot from another and does not tell its id, which is part of the key. */
function bootTag(bootId: string): string {
  return hash('sha256', `signet boot ${bootId}`, 'hex').slice(0, 32);
}

/** Random: a billion writes in one boot are far from two that are the same. */
export const nonceBytes = 12;
const magic = 'SGNTCACH';
const version = 1;
const frontBytes = magic.length + 1 + 4;
const tagBytes = 16;
// A trust domain and a SPIFFE ID, which have bounds of their own.
const headerBytesMax = 8192;
