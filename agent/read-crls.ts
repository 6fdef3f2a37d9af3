/** The revocation lists and the deny list of a push. */

import { equalBytes, type Logger } from '../core/index.ts';
import { CrlError, parseCrl } from '../pki/index.ts';

/** What must not be believed any more. The same value as long as the content is the same. */
export interface RevocationKnowledge {
  /** DER; handed on to sidecars and workloads. */
  readonly crls: readonly Uint8Array[];
  /** Of certificates that have not ended; of which this agent drops its own. */
  readonly revokedSerials: ReadonlySet<string>;
}

export const nothingRevoked: RevocationKnowledge = { crls: [], revokedSerials: new Set() };

/**
 * A list that cannot be read is left out and told of: a sidecar would refuse the roots that come with it,
 * and the deny list stands beside it all the same.
 */
export function readRevocations(
  message: { readonly crls: readonly Uint8Array[]; readonly revokedSerials: readonly string[] },
  known: RevocationKnowledge,
  log: Logger,
): RevocationKnowledge {
  const crls = message.crls.filter((der) => isReadable(der, log));
  const sameCrls =
    crls.length === known.crls.length &&
    crls.every((der, index) => equalBytes(der, known.crls[index] ?? new Uint8Array()));
  const sameSerials =
    message.revokedSerials.length === known.revokedSerials.size &&
    message.revokedSerials.every((serial) => known.revokedSerials.has(serial));
  return {
    crls: sameCrls ? known.crls : crls.map((der) => new Uint8Array(der)),
    revokedSerials: sameSerials ? known.revokedSerials : new Set(message.revokedSerials),
  };
}

function isReadable(der: Uint8Array, log: Logger): boolean {
  try {
    parseCrl(der);
    return true;
  } catch (error) {
    if (!(error instanceof CrlError)) throw error;
    log.warn('a revocation list is left out', { reason: error.message });
    return false;
  }
}
