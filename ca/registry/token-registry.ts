/** Join tokens in the store. */

import { formatDurationMs } from '../../core/index.ts';
import { pathOf, type SpiffeId, trustDomainOf } from '../../spiffe/index.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import { createJoinToken, isJoinTokenId, joinTokenIdOf, useJoinToken } from './join-token.ts';
import { tokenCodec } from './record-codec.ts';
import { isReservedPath } from './registration-entry.ts';
import type { NodeRegistry, RegistryDeps, TokenRegistry } from './registry.ts';
import { RegistryError } from './registry-error.ts';
import { tokenKeysOf } from './node-registry.ts';
import { readPage, untilSettled } from './store-records.ts';

export function tokenRegistry(
  deps: RegistryDeps,
  nodes: Pick<NodeRegistry, 'getNode'>,
): TokenRegistry {
  const { store } = deps;
  const read = async (id: string) =>
    isJoinTokenId(id) ? store.get(storeKeys.token(id)) : undefined;
  return {
    async createToken({ ttlMs, aliasId }, record) {
      checkTtl(ttlMs);
      if (aliasId !== undefined) checkAlias(deps, aliasId);
      return untilSettled(async () => {
        const created = createJoinToken({
          random: deps.random,
          nowMs: deps.clock.wallMs(),
          ttlMs,
          ...(aliasId === undefined ? {} : { aliasId }),
        });
        const key = storeKeys.token(created.token.id);
        await record?.(created.token);
        const result = await store.commit({
          compare: [{ key, modRevision: 0 }],
          puts: [{ key, value: tokenCodec.encode(created.token) }],
        });
        return result.kind === 'conflict' ? 'conflict' : created;
      });
    },

    async getToken(id) {
      const item = await read(id);
      return item === undefined ? undefined : tokenCodec.decode(item);
    },

    async listTokens({ after, limit } = {}) {
      return readPage(store, { prefix: storePrefixes.tokens, codec: tokenCodec, limit, after });
    },

    deleteToken: (id, record) =>
      untilSettled(async () => {
        const item = await read(id);
        if (item === undefined) {
          throw new RegistryError(
            'token_not_found',
            `no token ${JSON.stringify(id.slice(0, 80))}`,
            {
              remedy: 'see signet token list',
            },
          );
        }
        const token = tokenCodec.decode(item);
        await record?.(token);
        const { key, modRevision } = item;
        const result = await store.commit({ compare: [{ key, modRevision }], deletes: [key] });
        return result.kind === 'conflict' ? 'conflict' : token;
      }),

    async removeTokensOf(node) {
      const deletes = tokenKeysOf(node);
      if (deletes.length > 0) await store.commit({ deletes });
    },

    useToken: (use, record) =>
      untilSettled(async () => {
        const item = await read(joinTokenIdOf(use.text) ?? '');
        const stored = item === undefined ? undefined : tokenCodec.decode(item);
        const isRegistered = (await nodes.getNode(use.nodeId)) !== undefined;
        const nowMs = deps.clock.wallMs();
        const verdict = useJoinToken(stored, { ...use, isRegistered, nowMs });
        if (verdict.kind !== 'first_use' || item === undefined) return verdict;
        await record?.(verdict.token);
        // Of two nodes that bring the token at once, one wins; the other is judged again.
        const { key, modRevision } = item;
        const result = await store.commit({
          compare: [{ key, modRevision }],
          puts: [{ key, value: tokenCodec.encode(verdict.token) }],
        });
        return result.kind === 'conflict' ? 'conflict' : verdict;
      }),
  };
}

function checkTtl(ttlMs: number): void {
  if (Number.isSafeInteger(ttlMs) && ttlMs >= ttlMsMin && ttlMs <= ttlMsMax) return;
  throw new RegistryError(
    'token_ttl',
    `a join token cannot live ${ttlMs} ms; between ${formatDurationMs(ttlMsMin)} and ${formatDurationMs(ttlMsMax)} is allowed`,
  );
}

/** An alias names a node as entries' parent, so it obeys the rules for an entry's own ID. */
function checkAlias(deps: RegistryDeps, aliasId: SpiffeId): void {
  const path = pathOf(aliasId);
  if (trustDomainOf(aliasId) === deps.trustDomain && path !== '' && !isReservedPath(path)) return;
  throw new RegistryError('token_alias', `${aliasId} cannot be a node's alias`, {
    remedy: `give an ID of ${deps.trustDomain} outside /signet`,
  });
}

const ttlMsMin = 1000;
// Whoever holds a token can be a node; a month is long enough for any machine to be delivered.
const ttlMsMax = 30 * 86_400_000;
