/** Attested nodes in the store. */

import { pathOf, type SpiffeId } from '../../spiffe/index.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import type { AttestedNode } from './attested-node.ts';
import { nodeCodec } from './record-codec.ts';
import { reservedPath } from './registration-entry.ts';
import type { NodeRegistry, RegistryDeps } from './registry.ts';
import { RegistryError } from './registry-error.ts';
import { selectorType, selectorValue } from './selector.ts';
import { readPage, untilSettled } from './store-records.ts';

export function nodeRegistry(deps: RegistryDeps): NodeRegistry {
  const { store } = deps;
  return {
    async putNode(node) {
      const key = nodeKey(node.id);
      if (key === undefined) {
        throw new RegistryError('node_id', `${node.id} is not the ID of a node`);
      }
      await untilSettled(async () => {
        const item = await store.get(key);
        // Compared, so that an attestation under way does not undo a ban.
        if (item !== undefined) refuseBanned(nodeCodec.decode(item));
        const tokens = await readTokens(deps, node);
        const result = await store.commit({
          compare: [{ key, modRevision: item?.modRevision ?? 0 }, ...tokens],
          puts: [{ key, value: nodeCodec.encode(node) }],
        });
        return result.kind === 'conflict' ? 'conflict' : node;
      });
    },

    updateNode: (id, change, record) =>
      untilSettled(async () => {
        const { key, node, modRevision } = await readNode(deps, id);
        const changed = { ...change(node), id };
        await record?.(changed);
        const result = await store.commit({
          compare: [{ key, modRevision }],
          puts: [{ key, value: nodeCodec.encode(changed) }],
        });
        return result.kind === 'conflict' ? 'conflict' : changed;
      }),

    async getNode(id) {
      const key = nodeKey(id);
      const item = key === undefined ? undefined : await store.get(key);
      return item === undefined ? undefined : nodeCodec.decode(item);
    },

    async listNodes({ after, limit } = {}) {
      return readPage(store, {
        prefix: storePrefixes.nodes,
        codec: nodeCodec,
        limit,
        after,
      });
    },

    removeNode: (id, record) =>
      untilSettled(async () => {
        const { key, node, modRevision } = await readNode(deps, id);
        // The ban is part of the record, and would go with it.
        refuseBanned(node);
        await record?.(node);
        const result = await store.commit({
          compare: [{ key, modRevision }],
          deletes: [key, ...tokenKeysOf(node)],
        });
        return result.kind === 'conflict' ? 'conflict' : node;
      }),
  };
}

async function readNode(
  deps: RegistryDeps,
  id: SpiffeId,
): Promise<{ readonly key: string; readonly node: AttestedNode; readonly modRevision: number }> {
  const key = nodeKey(id);
  const item = key === undefined ? undefined : await deps.store.get(key);
  if (key === undefined || item === undefined) {
    throw new RegistryError('node_not_found', `no node ${id}`, { remedy: 'see signet node list' });
  }
  return { key, node: nodeCodec.decode(item), modRevision: item.modRevision };
}

/** Compared, so that an attestation under way does not undo the removal of the node, which takes them. */
function readTokens(
  { store }: RegistryDeps,
  node: AttestedNode,
): Promise<readonly { readonly key: string; readonly modRevision: number }[]> {
  return Promise.all(
    tokenKeysOf(node).map(async (key) => {
      const item = await store.get(key);
      if (item !== undefined) return { key, modRevision: item.modRevision };
      throw new RegistryError('token_not_found', `the join token of ${node.id} was removed`, {
        remedy: 'make a new one with: signet token create',
      });
    }),
  );
}

/** Throws {@link RegistryError} `node_banned`. */
export function refuseBanned({ id, banned }: AttestedNode): void {
  if (banned === undefined) return;
  const since = new Date(banned.atMs).toISOString();
  const reason = banned.reason === '' ? '' : `: ${banned.reason}`;
  throw new RegistryError('node_banned', `node ${id} is banned since ${since}${reason}`, {
    remedy: `let it in again with: signet node unban ${id}`,
  });
}

function nodeKey(id: SpiffeId): string | undefined {
  const path = pathOf(id);
  const name = path.startsWith(nodePath) ? path.slice(nodePath.length) : '';
  return name === '' ? undefined : storeKeys.node(name);
}

/** The join tokens that would bring the node back. */
export function tokenKeysOf(node: AttestedNode): readonly string[] {
  return node.selectors
    .filter((selector) => selectorType(selector) === 'join_token')
    .map((selector) => storeKeys.token(selectorValue(selector)));
}

const nodePath = `${reservedPath}/node/`;
