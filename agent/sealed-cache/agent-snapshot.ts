/**
 * All that an agent needs to go on as it was, as bytes: a 32-bit length, a document in JSON, then each private
 * key as a 16-bit length and PKCS#8. Keys stand apart so that none of them is ever a string.
 */

import { Buffer } from 'node:buffer';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { SyncResponse } from '../../api/index.ts';
import { CodedError, toBase64, utf8Text } from '../../core/index.ts';
import {
  type Certificate,
  privateKeyFromPkcs8Der,
  privateKeyToPkcs8Der,
  VerifiedPairs,
} from '../../pki/index.ts';
import type { BundleSet, TrustDomain } from '../../spiffe/index.ts';
import type { NodeKey } from '../attest-node.ts';
import { bundlesOf, type KnownBundles } from '../ca-state.ts';
import { type CheckedChain, checkChain, type NodeSvid } from '../node-svid.ts';
import type { EntrySvid } from '../svid/entry-svid.ts';

export interface AgentSnapshot extends KnownBundles {
  readonly savedAtMs: number;
  /** How the agent was told to know its CA: another pin is another CA. */
  readonly caTrust: string;
  readonly node: NodeSvid;
  /** The key that the node was first attested with. */
  readonly attestKey: NodeKey;
  /** The newest push that was applied; undefined before the first. */
  readonly push: SyncResponse | undefined;
  readonly svids: readonly EntrySvid[];
}

/** Whoever calls overwrites the result after use. */
export function encodeSnapshot(snapshot: AgentSnapshot): Buffer {
  const keys = [
    snapshot.node.privateKey,
    snapshot.attestKey.privateKey,
    ...snapshot.svids.map(({ svid }) => svid.privateKey),
  ].map((key) => privateKeyToPkcs8Der(key));
  const document: SnapshotDocument = {
    savedAtMs: snapshot.savedAtMs,
    caTrust: snapshot.caTrust,
    bundle: toBase64(snapshot.bundleText),
    node: {
      chain: chainOf(snapshot.node.chain),
      notAfterMs: snapshot.node.notAfterMs,
      renewAtMs: snapshot.node.renewAtMs,
    },
    ...(snapshot.push === undefined
      ? {}
      : { push: toBase64(SyncResponse.encode(snapshot.push).finish()) }),
    svids: snapshot.svids.map((held) => ({
      entryId: held.entryId,
      entryRevision: String(held.entryRevision),
      chain: chainOf(held.svid.chain),
      renewAtMs: held.renewAtMs,
      issuedAtMs: held.issuedAtMs,
      cappedBy: held.cappedBy,
    })),
  };
  const head = Buffer.from(JSON.stringify(document));
  const keysLength = keys.reduce((length, key) => length + 2 + key.length, 0);
  const whole = Buffer.alloc(4 + head.length + keysLength);
  whole.writeUInt32BE(head.length, 0);
  head.copy(whole, 4);
  let offset = 4 + head.length;
  for (const key of keys) {
    whole.writeUInt16BE(key.length, offset);
    whole.set(key, offset + 2);
    offset += 2 + key.length;
    key.fill(0);
  }
  return whole;
}

export type DecodedSnapshot =
  | { readonly kind: 'decoded'; readonly snapshot: AgentSnapshot }
  | { readonly kind: 'refused'; readonly detail: string };

/**
 * What is in the bytes, each certificate checked anew against its key and the bundle. A workload's that has
 * expired by now, or does not verify, is left out. The node's may have expired: it is only good for being
 * attested again then.
 */
export function decodeSnapshot(
  bytes: Buffer,
  trustDomain: TrustDomain,
  atMs: number,
): DecodedSnapshot {
  try {
    return { kind: 'decoded', snapshot: decode(bytes, trustDomain, atMs) };
  } catch (error) {
    if (error instanceof CodedError) return { kind: 'refused', detail: error.message };
    if (error instanceof SyntaxError || error instanceof RangeError || error instanceof z.ZodError)
      return { kind: 'refused', detail: 'its content is not that of a cache' };
    throw error;
  }
}

function decode(bytes: Buffer, trustDomain: TrustDomain, atMs: number): AgentSnapshot {
  const headEnd = 4 + bytes.readUInt32BE(0);
  if (headEnd > bytes.length) throw new RangeError('cut short');
  const document = documentSchema.parse(JSON.parse(utf8Text(bytes.subarray(4, headEnd)) ?? ''));
  const [nodeKey, attestKey, ...keys] = readKeys(bytes, headEnd);
  if (nodeKey === undefined || attestKey === undefined || keys.length !== document.svids.length) {
    throw new RangeError('keys are missing');
  }
  const bundleText = document.bundle;
  const bundles = bundlesOf(bundleText, trustDomain);
  const verifiedPairs = new VerifiedPairs();
  return {
    savedAtMs: document.savedAtMs,
    caTrust: document.caTrust,
    bundles,
    bundleText,
    node: nodeOf(document.node, nodeKey, bundles, atMs),
    attestKey: { privateKey: attestKey, publicKey: createPublicKey(attestKey) },
    push: document.push === undefined ? undefined : SyncResponse.decode(document.push),
    svids: document.svids.flatMap((held, index): readonly EntrySvid[] => {
      const privateKey = keys[index];
      if (privateKey === undefined) return [];
      const checked = checkedOrNone({
        certificates: held.chain,
        publicKey: createPublicKey(privateKey),
        bundles,
        atMs,
        verifiedPairs,
      });
      if (checked === undefined) return [];
      const { id, chain, rootKeyId, notAfterMs } = checked;
      const { chain: _, issuedAtMs, cappedBy, ...rest } = held;
      return [
        {
          ...rest,
          svid: { id, chain, privateKey },
          rootKeyId,
          notAfterMs,
          ...(issuedAtMs === undefined ? {} : { issuedAtMs }),
          ...(cappedBy === undefined ? {} : { cappedBy }),
        },
      ];
    }),
  };
}

function nodeOf(
  held: z.infer<typeof documentSchema>['node'],
  privateKey: KeyObject,
  bundles: BundleSet,
  nowMs: number,
): NodeSvid {
  const { id, chain, rootKeyId, notAfterMs } = checkChain({
    certificates: held.chain,
    publicKey: createPublicKey(privateKey),
    bundles,
    // Expired or not: whether it was sound while it lived.
    atMs: Math.min(nowMs, held.notAfterMs - 1),
  });
  return { id, chain, rootKeyId, notAfterMs, privateKey, renewAtMs: held.renewAtMs };
}

function checkedOrNone(p: Parameters<typeof checkChain>[0]): CheckedChain | undefined {
  try {
    return checkChain(p);
  } catch (error) {
    // One that has expired meanwhile, as a rule: never served, and made anew like one that never was.
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

function readKeys(bytes: Buffer, start: number): readonly KeyObject[] {
  const keys: KeyObject[] = [];
  for (let offset = start; offset < bytes.length; ) {
    const end = offset + 2 + bytes.readUInt16BE(offset);
    if (end > bytes.length) throw new RangeError('cut short');
    keys.push(privateKeyFromPkcs8Der(bytes.subarray(offset + 2, end)));
    offset = end;
  }
  return keys;
}

function chainOf(chain: readonly Certificate[]): string[] {
  return chain.map(({ der }) => toBase64(der));
}

const bytesField = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')));
const chainField = z.array(bytesField);
const documentSchema = z.strictObject({
  savedAtMs: z.number(),
  caTrust: z.string(),
  bundle: bytesField,
  push: bytesField.optional(),
  node: z.strictObject({ chain: chainField, notAfterMs: z.number(), renewAtMs: z.number() }),
  svids: z.array(
    z.strictObject({
      entryId: z.string(),
      entryRevision: z
        .string()
        .regex(/^\d{1,20}$/)
        .transform(BigInt),
      chain: chainField,
      renewAtMs: z.number(),
      issuedAtMs: z.number().optional(),
      cappedBy: z.string().optional(),
    }),
  ),
});
type SnapshotDocument = z.input<typeof documentSchema>;
