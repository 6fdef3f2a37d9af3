/** The registry's values as JSON in the store, each with the version of its shape. */

import { z } from 'zod';
import { CodedError, utf8Bytes, utf8Text } from '../../core/index.ts';
import { isSpiffeId, parseTrustDomain, type SpiffeId } from '../../spiffe/index.ts';
import type { StoreItem } from '../store/store.ts';
import type { AttestedNode } from './attested-node.ts';
import type { IdentityRule } from './identity-rule.ts';
import type { JoinToken } from './join-token.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import { RegistryError } from './registry-error.ts';
import { parseSelector } from './selector.ts';

export interface RecordCodec<Value> {
  encode(value: Value): Uint8Array;
  /** Throws {@link RegistryError} `registry_record_invalid`, naming the key. */
  decode(item: Pick<StoreItem, 'key' | 'value'>): Value;
}

const spiffeId = z.custom<SpiffeId>((value) => typeof value === 'string' && isSpiffeId(value));
const selectors = z.array(z.string().transform(parseSelector));
const hex = z.string().regex(/^[0-9a-f]+$/);
const timeMs = z.int().nonnegative();

// A later shape may mean something else by the same members, so it is refused and not guessed at.
export const schemaVersion = 1;
const versioned = z.object({ schema: z.literal(schemaVersion) });

export const entryCodec: RecordCodec<RegistrationEntry> = codecOf(
  z.object({
    id: z.string(),
    createdAtMs: timeMs,
    revision: z.int().positive(),
    spiffeId,
    parentId: spiffeId,
    selectors: selectors.min(1),
    x509SvidTtlMs: z.int().positive().exactOptional(),
    jwtSvidTtlMs: z.int().positive().exactOptional(),
    dnsNames: z.array(z.string()),
    hint: z.string(),
    federatesWith: z.array(z.string().transform(parseTrustDomain)),
    admin: z.boolean(),
    priority: z.int(),
    expiresAtMs: timeMs.exactOptional(),
  }),
);

export const nodeCodec: RecordCodec<AttestedNode> = codecOf(
  z.object({
    id: spiffeId,
    attestor: z.string(),
    selectors,
    aliasId: spiffeId.exactOptional(),
    serial: hex,
    notAfterMs: timeMs,
    attestedAtMs: timeMs,
    renewedAtMs: timeMs.exactOptional(),
    agentVersion: z.string().exactOptional(),
    banned: z.object({ atMs: timeMs, reason: z.string() }).exactOptional(),
  }),
);

export const ruleCodec: RecordCodec<IdentityRule> = codecOf(
  z.object({
    id: z.string(),
    createdAtMs: timeMs,
    template: z.string(),
    selectors: selectors.min(1),
    nodeSelectors: selectors,
    x509SvidTtlMs: z.int().positive().exactOptional(),
    jwtSvidTtlMs: z.int().positive().exactOptional(),
    dnsNames: z.array(z.string()).exactOptional(),
    federatesWith: z.array(z.string().transform(parseTrustDomain)).exactOptional(),
    hint: z.string(),
    priority: z.int(),
    trust: z.record(z.string(), z.enum(['node', 'agent'])).exactOptional(),
  }),
);

export const tokenCodec: RecordCodec<JoinToken> = codecOf(
  z.object({
    id: hex,
    tokenSha256: hex.length(64),
    createdAtMs: timeMs,
    expiresAtMs: timeMs,
    aliasId: spiffeId.exactOptional(),
    used: z.object({ nodeId: spiffeId, spkiSha256: hex.length(64), atMs: timeMs }).exactOptional(),
  }),
);

/** What stands under an entry's identity: the entry's id. */
export const entryIdCodec: RecordCodec<string> = {
  encode: utf8Bytes,
  decode: ({ key, value }) => utf8Text(value) ?? unreadable(key),
};

function codecOf<Value extends object>(shape: z.ZodType<Value>): RecordCodec<Value> {
  return {
    encode: (value) => utf8Bytes(JSON.stringify({ schema: schemaVersion, ...value })),
    decode({ key, value }) {
      try {
        const json: unknown = JSON.parse(utf8Text(value) ?? '');
        versioned.parse(json);
        return shape.parse(json);
      } catch (error) {
        const isExpected =
          error instanceof z.ZodError ||
          error instanceof SyntaxError ||
          error instanceof CodedError;
        throw isExpected ? unreadable(key, error) : error;
      }
    },
  };
}

function unreadable(key: string, cause?: unknown): never {
  throw new RegistryError('registry_record_invalid', `the store's ${key} cannot be read`, {
    cause,
    remedy: 'run the version of Signet that wrote it, or restore the store from a backup',
  });
}
