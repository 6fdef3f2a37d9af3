/** A rule as a node is told of it on the wire. */

import type { Derivable } from '../../api/index.ts';
import type { DerivableIdentity } from '../registry/workload-identity.ts';

export function derivableMessage(derivable: DerivableIdentity, defaultTtlMs: number): Derivable {
  return {
    id: derivable.id,
    selectors: [...derivable.selectors],
    parts: derivable.parts.map((part) =>
      part.kind === 'text'
        ? { part: { $case: 'text', value: part.text } }
        : { part: { $case: 'fact', value: part.prefix } },
    ),
    x509SvidTtlMs: BigInt(derivable.x509SvidTtlMs ?? defaultTtlMs),
    hint: derivable.hint,
    priority: derivable.priority,
    createdAtMs: BigInt(derivable.createdAtMs),
    revision: BigInt(derivable.revision),
    federatesWith: [...derivable.federatesWith],
  };
}
