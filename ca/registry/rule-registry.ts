/** Identity rules in the store. */

import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import { isEntryId, newEntryId } from './entry-id.ts';
import { type IdentityRule, parseIdentityRule } from './identity-rule.ts';
import { ruleCodec } from './record-codec.ts';
import type { RegistryDeps, RuleRegistry } from './registry.ts';
import { RegistryError } from './registry-error.ts';
import { readPage, untilSettled } from './store-records.ts';

export function ruleRegistry(deps: RegistryDeps): RuleRegistry {
  const { store } = deps;
  const read = async (id: string) => (isEntryId(id) ? store.get(storeKeys.rule(id)) : undefined);
  return {
    async createRule(draft, record) {
      const spec = parseIdentityRule(draft, deps.trustDomain);
      const { items } = await store.range({ prefix: storePrefixes.rules, limit: rulesMax });
      if (items.length >= rulesMax) {
        throw new RegistryError('rules_many', `there are ${rulesMax} rules already`, {
          remedy: 'delete one, or write one template for several',
        });
      }
      const createdAtMs = deps.clock.wallMs();
      const rule: IdentityRule = { ...spec, id: newEntryId(createdAtMs, deps.random), createdAtMs };
      const key = storeKeys.rule(rule.id);
      await record?.(rule);
      await store.commit({
        compare: [{ key, modRevision: 0 }],
        puts: [{ key, value: ruleCodec.encode(rule) }],
      });
      return rule;
    },

    async getRule(id) {
      const item = await read(id);
      return item === undefined ? undefined : ruleCodec.decode(item);
    },

    async listRules({ after, limit } = {}) {
      return readPage(store, { prefix: storePrefixes.rules, codec: ruleCodec, limit, after });
    },

    deleteRule: (id, record) =>
      untilSettled(async () => {
        const item = await read(id);
        if (item === undefined) {
          throw new RegistryError('rule_not_found', `no rule ${JSON.stringify(id.slice(0, 80))}`, {
            remedy: 'see signet rule list',
          });
        }
        const rule = ruleCodec.decode(item);
        await record?.(rule);
        const { key, modRevision } = item;
        const result = await store.commit({ compare: [{ key, modRevision }], deletes: [key] });
        return result.kind === 'conflict' ? 'conflict' : rule;
      }),
  };
}

// Every rule is tried on every node whenever its entries are read: rules are few, nodes are many.
const rulesMax = 256;
