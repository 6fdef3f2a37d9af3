/** The policy's file: read and checked at the start, read again when an operator says so, all or nothing. */

import { hash } from 'node:crypto';
import {
  type Clock,
  CodedError,
  ConfigError,
  FileError,
  type Logger,
  readText,
} from '../../core/index.ts';
import { decideIssuance, type IssuancePolicy, parsePolicyDocument } from '../../policies/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor } from '../audit/event.ts';
import { factsOf, type PolicyJudge } from './policy.ts';

export type PolicyFileErrorCode = 'policy_none' | 'policy_refused';

export class PolicyFileError extends CodedError<PolicyFileErrorCode> {
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
   * Takes the file as it is now. Throws {@link PolicyFileError} `policy_refused` with every fault, or
   * AuditError; then the policy from before stays in force. Throws `policy_none` if none is configured.
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
  // One after the other: what the log names last is what is in force.
  let last: Promise<unknown> = Promise.resolve();
  const reload = async (actor: Actor): Promise<PolicyDescription> => {
    try {
      current = await load(file, deps, actor);
    } catch (error) {
      throw keptBecauseOf(error, current.description, deps.log);
    }
    return current.description;
  };
  return {
    judge: (question, atMs = deps.clock.wallMs()) =>
      decideIssuance(current.policy, factsOf(question, deps.nodeSelectors, atMs)),
    describe: () => current.description,
    reload(actor) {
      const done = last.then(() => reload(actor));
      last = done.catch(() => {});
      return done;
    },
  };
}

/** What is wrong with the file is the operator's to read, together with what judges meanwhile. */
function keptBecauseOf(error: unknown, kept: PolicyDescription, log: Logger): unknown {
  if (!(error instanceof ConfigError || error instanceof FileError)) return error;
  const { file, sha256 } = kept;
  const reason = error.message.replaceAll('\n', '; ');
  log.warn('a new issuance policy was refused, the one before stays', { file, sha256, reason });
  return new PolicyFileError('policy_refused', reason, {
    remedy: `the policy from before (SHA-256 ${sha256.slice(0, 16)}…) stays in force; mend the file and reload`,
    cause: error,
  });
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
