/** The policy's file: read and checked at the start, read again when an operator says so, all or nothing. */

import { hash } from 'node:crypto';
import { type Clock, CodedError, type Logger, readText } from '../../core/index.ts';
import { decideIssuance, type IssuancePolicy, parsePolicyDocument } from '../../policies/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor } from '../audit/event.ts';
import { factsOf, type PolicyJudge } from './policy.ts';

export class PolicyFileError extends CodedError<'policy_none'> {
  override readonly name = 'PolicyFileError';
  override readonly kind = 'failed_precondition';
}

/** Which policy is in force. */
export interface PolicyDescription {
  readonly file: string;
  readonly sha256: string;
  readonly default: 'deny' | 'allow';
  readonly rules: readonly {
    readonly name: string;
    readonly effect: 'deny' | 'allow';
    readonly reason: string;
  }[];
  readonly loadedAtMs: number;
}

export interface PolicyFile {
  /** Absent if no policy is configured. */
  readonly judge?: PolicyJudge;
  describe(): PolicyDescription | undefined;
  /**
   * Takes the file as it is now. Throws ConfigError with every fault, FileError, or AuditError; then the
   * policy from before stays in force. Throws {@link PolicyFileError} if none is configured.
   */
  reload(actor: Actor): Promise<PolicyDescription>;
}

export interface PolicyFileDeps {
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly log: Logger;
  /** What the node was proved to be; nothing for one that is not known. */
  readonly nodeSelectors: (nodeId: SpiffeId) => readonly string[];
}

/** Throws ConfigError or FileError: a CA does not start with a policy that it cannot follow. */
export async function openPolicyFile(
  file: string | undefined,
  deps: PolicyFileDeps,
): Promise<PolicyFile> {
  if (file === undefined) return noPolicy;
  let current = await load(file, deps, { kind: 'system', id: 'ca' });
  return {
    judge: (question, atMs = deps.clock.wallMs()) =>
      decideIssuance(current.policy, factsOf(question, deps.nodeSelectors, atMs)),
    describe: () => current.description,
    async reload(actor) {
      current = await load(file, deps, actor);
      return current.description;
    },
  };
}

const noPolicy: PolicyFile = {
  describe: () => undefined,
  async reload() {
    throw new PolicyFileError('policy_none', 'this CA has no policy to read again', {
      remedy: 'name a file as `policy:` in its configuration and start it again',
    });
  },
};

interface LoadedPolicy {
  readonly policy: IssuancePolicy;
  readonly description: PolicyDescription;
}

/** Recorded before it is in force, so no verdict was ever given by a policy that the log does not know. */
async function load(file: string, deps: PolicyFileDeps, actor: Actor): Promise<LoadedPolicy> {
  const text = await readText(file);
  const { policy } = parsePolicyDocument(text, file);
  const description: PolicyDescription = {
    file,
    sha256: hash('sha256', text, 'hex'),
    default: policy.default,
    rules: policy.rules.map(({ name, effect, reason }) => ({ name, effect, reason })),
    loadedAtMs: deps.clock.wallMs(),
  };
  const { sha256, rules } = description;
  await deps.audit.append({
    actor,
    type: 'policy.loaded',
    document: { file, sha256, rules: rules.length },
  });
  deps.log.info('issuance policy loaded', { file, sha256, rules: rules.length });
  return { policy, description };
}
