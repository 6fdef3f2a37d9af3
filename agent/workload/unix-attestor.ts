/**
 * The `unix` attestor: user, groups and executable of the calling process.
 *
 * The kernel gave pid, uid, gid and a pidfd when the process connected. Everything under `/proc/<pid>` is
 * read first and the pidfd asked after: if the process still lives then, the pid was its own all along.
 */

import type { Logger } from '../../core/index.ts';
import type { UnixCaller } from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import { type AccountFile, accountFile } from './account-names.ts';
import { createExecutableHashes, type ExecutableHashes } from './executable-hash.ts';
import { type Executable, type ProcessStatus, readExecutable, readProcessStatus } from './proc.ts';
import {
  type CostlySelectors,
  localDeadlineMs,
  type WorkloadAttestor,
} from './workload-attestor.ts';

export interface UnixAttestorOptions {
  readonly log: Logger;
  readonly procRoot?: string;
  readonly passwdPath?: string;
  readonly groupPath?: string;
}

export function createUnixAttestor(options: UnixAttestorOptions): WorkloadAttestor {
  const { log, procRoot = '/proc' } = options;
  const users = accountFile(options.passwdPath ?? '/etc/passwd', log);
  const groups = accountFile(options.groupPath ?? '/etc/group', log);
  const hashes = createExecutableHashes(procRoot, log);
  return {
    name: 'unix',
    deadlineMs: localDeadlineMs,
    checksCaller: true,
    async attest(caller) {
      const status = readProcessStatus(procRoot, caller.pid);
      const executable = await readExecutable(procRoot, caller.pid);
      const checked = checkCaller(caller, status, log);
      return {
        selectors: [
          ...(await accountSelectors(checked, users, groups)),
          ...(executable?.path === undefined ? [] : [`unix:path:${executable.path}`]),
        ],
        costly: executable === undefined ? undefined : hashSelectors(caller, executable, hashes),
        holds: async () => {
          const now = readProcessStatus(procRoot, caller.pid);
          return now !== undefined && accountKey(now) === accountKey(checked);
        },
      };
    },
  };
}

/** Throws {@link AgentError} if what was read may be of another process than the one that connected. */
function checkCaller(
  caller: UnixCaller,
  status: ProcessStatus | undefined,
  log: Logger,
): ProcessStatus {
  if (caller.process === undefined) {
    log.warn('the kernel gives no pidfd (before 6.5): a recycled pid could not be told apart', {
      connection: caller.connection,
    });
  } else if (!caller.process.alive()) {
    throw new AgentError(
      'caller_gone',
      'unavailable',
      `process ${caller.pid} ended after it connected`,
    );
  }
  if (status === undefined) {
    throw new AgentError(
      'caller_unknown',
      'unavailable',
      `process ${caller.pid} cannot be looked at`,
      { remedy: 'run the agent in the host pid namespace, with the right to read /proc' },
    );
  }
  // A process that changed its user since it connected is not who the kernel vouched for.
  if (status.uid !== caller.uid || status.gid !== caller.gid) {
    throw new AgentError(
      'caller_changed',
      'unavailable',
      `process ${caller.pid} connected as ${caller.uid}:${caller.gid} and runs as ${status.uid}:${status.gid}`,
      { remedy: 'let it connect after it has changed its user' },
    );
  }
  return status;
}

function accountKey({ uid, gid, groups }: ProcessStatus): string {
  return [uid, gid, ...groups].join(' ');
}

async function accountSelectors(
  status: ProcessStatus,
  users: AccountFile,
  groups: AccountFile,
): Promise<readonly string[]> {
  const [userNames, groupNames] = await Promise.all([users.names(), groups.names()]);
  const named = (kind: string, name: string | undefined): string[] =>
    name === undefined ? [] : [`unix:${kind}:${name}`];
  return [
    `unix:uid:${status.uid}`,
    ...named('user', userNames.get(status.uid)),
    `unix:gid:${status.gid}`,
    ...named('group', groupNames.get(status.gid)),
    ...status.groups.flatMap((gid) => [
      `unix:supplementary_gid:${gid}`,
      ...named('supplementary_group', groupNames.get(gid)),
    ]),
  ];
}

function hashSelectors(
  caller: UnixCaller,
  executable: Executable,
  hashes: ExecutableHashes,
): CostlySelectors {
  return {
    prefix: 'unix:sha256:',
    async find() {
      const hash = await hashes.hashOf(caller.pid, executable.identity);
      // Asked again after the read, as above: the hash may come long after the rest.
      const alive = caller.process?.alive() ?? true;
      return hash === undefined || !alive ? [] : [`unix:sha256:${hash}`];
    },
  };
}
