/** `sds:` of the agent's configuration: what its sidecars may call their secrets. */

import { z } from 'zod';
import { checkAliases, noAliases, type SecretAliases } from '../sds-server/index.ts';

export interface SdsConfig {
  readonly aliases: SecretAliases;
}

const aliasesField = z.record(z.string(), z.string()).transform((record, context) => {
  const verdict = checkAliases(new Map(Object.entries(record)));
  if (verdict.kind === 'valid') return verdict.aliases;
  for (const { alias, reason } of verdict.faults) {
    context.addIssue({ code: 'custom', message: reason, path: [alias] });
  }
  return z.NEVER;
});

/** Without it there are the names that need no configuration. */
export const sdsField = z
  .strictObject({ aliases: aliasesField.optional() })
  .transform(({ aliases }): SdsConfig => ({ aliases: aliases ?? noAliases }))
  .optional()
  .transform((config): SdsConfig => config ?? { aliases: noAliases });
