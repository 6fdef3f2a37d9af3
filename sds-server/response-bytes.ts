/**
 * Responses as bytes. A protobuf message is the sequence of its fields in any order, so a secret is encoded once and
 * stands as it is in the responses of all streams; only the few words around it are made for each.
 */

import { Buffer } from 'node:buffer';
import {
  type Any,
  DeltaDiscoveryResponse,
  DiscoveryResponse,
  Resource,
  secretTypeUrl,
} from '../api/index.ts';
import type { SecretResource } from './resource.ts';
import type { SendAction } from './subscription-step.ts';

/** `resources` of a DiscoveryResponse, and `resource` of a delta Resource: both are field 2, an Any. */
export function fieldOf(secret: Any): Uint8Array {
  return DiscoveryResponse.encode({ ...noWords, resources: [secret] }).finish();
}

/** A DiscoveryResponse. */
export function responseBytes(
  { version, nonce }: SendAction,
  resources: readonly SecretResource[],
): Buffer {
  const words = { ...noWords, versionInfo: version, nonce, resources: [] };
  const head = DiscoveryResponse.encode(words).finish();
  return Buffer.concat([head, sharedHead, ...resources.map(({ field }) => field)]);
}

/** A DeltaDiscoveryResponse. */
export function deltaResponseBytes(
  { version, nonce, removed }: SendAction,
  resources: readonly SecretResource[],
): Buffer {
  const head = DeltaDiscoveryResponse.encode({
    ...sharedWords,
    // For people who debug; the versions that count stand beside the resources.
    systemVersionInfo: version,
    nonce,
    resources: [],
    removedResources: [...removed],
  }).finish();
  return Buffer.concat([head, ...resources.flatMap(deltaField)]);
}

function deltaField({ name, summary, field }: SecretResource): readonly Uint8Array[] {
  const words = Resource.encode({ name, version: summary.version, resource: undefined }).finish();
  return [Uint8Array.from(resourcesStart(words.length + field.length)), words, field];
}

/** The tag of field 2, of bytes, and how many there are, seven bits at a time. */
function resourcesStart(length: number): number[] {
  const start = [0x12];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) start.push((rest & 0x7f) | 0x80);
  return [...start, rest];
}

const noWords = { versionInfo: '', typeUrl: '', nonce: '', controlPlane: undefined };
const sharedWords = { typeUrl: secretTypeUrl, controlPlane: { identifier: 'signet' } };
const sharedHead = DiscoveryResponse.encode({ ...noWords, ...sharedWords, resources: [] }).finish();
