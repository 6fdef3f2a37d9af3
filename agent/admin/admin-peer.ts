/**
 * Who may use the agent's admin socket: root and the agent's own user, of the agent's own pid namespace. The
 * socket stands beside the one that workloads use, which is often mounted into containers: a container's
 * root has uid 0 as well, and is told apart by its namespace.
 */

import { readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { AdminError } from '../../api/index.ts';
import { systemErrorCode } from '../../core/index.ts';
import { openPeerProcess, PeerCredentialsError, readPeerCredentials } from '../../rpc/index.ts';

export interface AdminPeer {
  readonly uid: number;
  readonly pid: number;
}

/** Throws {@link AdminError} `admin_peer`. Asked once, when it connects: credentials are of that moment. */
export function admitPeer(socket: Socket): AdminPeer {
  const peer = asked(() => readPeerCredentials(socket));
  if (peer.uid !== 0 && peer.uid !== process.getuid?.()) {
    throw refused(`user ${peer.uid} may not: only root and the user that runs the agent`);
  }
  const handle = asked(() => openPeerProcess(socket));
  try {
    const theirs = pidNamespaceOf(peer.pid);
    if (theirs === undefined || theirs !== pidNamespaceOf(process.pid)) {
      throw refused(`process ${peer.pid} is not seen to be in the agent's own pid namespace`);
    }
    // Alive afterwards: what was read under its number was said of it, and not of a later process.
    if (handle?.alive() === false) throw refused(`process ${peer.pid} has ended`);
  } finally {
    handle?.release();
  }
  return peer;
}

function asked<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof PeerCredentialsError) throw refused(error.message);
    throw error;
  }
}

/** Undefined if the process is gone or this user may not look. */
function pidNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch (error) {
    if (hiddenCodes.has(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

function refused(reason: string): AdminError {
  return new AdminError(
    'permission_denied',
    'admin_peer',
    reason,
    'run the command as the user that runs the agent, where the agent runs',
  );
}

const hiddenCodes: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);
