/**
 * Who is at the other end of a Unix socket, from the kernel: `SO_PEERCRED` and `SO_PEERPIDFD` (unix(7)).
 *
 * The pidfd is held for as long as the connection lives. A pid can be given to another process the moment
 * its owner dies; a pidfd never means another process, so asking it is the proof that what `/proc/<pid>`
 * said was said of the caller.
 */

import { Buffer } from 'node:buffer';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import koffi from 'koffi';
import { CodedError } from '../core/index.ts';

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export type PeerCredentialsErrorCode = 'peer_socket' | 'peer_credentials' | 'peer_invisible';

export class PeerCredentialsError extends CodedError<PeerCredentialsErrorCode> {
  override readonly name = 'PeerCredentialsError';
  override readonly kind = 'unauthenticated';
}

/** A held reference to one process. `undefined` where the kernel (before 6.5) cannot give one. */
export interface ProcessHandle {
  /** False once the process has ended; never true for a later process with the same pid. */
  alive(): boolean;
  release(): void;
}

/** Throws {@link PeerCredentialsError} if the kernel does not say, or if the peer is in a foreign pid namespace. */
export function readPeerCredentials(socket: Socket): PeerCredentials {
  const credentials = Buffer.alloc(12);
  if (getSocketOption(descriptorOf(socket), soPeerCred, credentials) !== credentials.length) {
    throw new PeerCredentialsError(
      'peer_credentials',
      `no peer credentials: errno ${koffi.errno()}`,
    );
  }
  const pid = credentials.readInt32LE(0);
  if (pid === 0) {
    throw new PeerCredentialsError(
      'peer_invisible',
      'the caller is in a pid namespace not visible from here',
      {
        remedy: 'run the agent in the host pid namespace',
      },
    );
  }
  return { pid, uid: credentials.readUInt32LE(4), gid: credentials.readUInt32LE(8) };
}

/** A handle on the process that connected, or undefined on a kernel without `SO_PEERPIDFD`. */
export function openPeerProcess(socket: Socket): ProcessHandle | undefined {
  const value = Buffer.alloc(4);
  if (getSocketOption(descriptorOf(socket), soPeerPidfd, value) !== value.length) return undefined;
  const pidfd = value.readInt32LE(0);
  let released = false;
  return {
    alive() {
      if (released) return false;
      const poll = Buffer.alloc(8);
      poll.writeInt32LE(pidfd, 0);
      poll.writeInt16LE(pollIn, 4);
      // pidfd_open(2): a pidfd becomes readable when its process ends.
      return native().poll(poll, 1, 0) === 0;
    },
    release() {
      if (released) return;
      released = true;
      closeSync(pidfd);
    },
  };
}

// The one touch of something Node does not document. `rpc/server.test.ts` fails if it ever goes away.
function descriptorOf(socket: Socket): number {
  const handle = (socket as Socket & { readonly _handle?: { readonly fd?: unknown } })._handle;
  if (typeof handle?.fd === 'number' && handle.fd >= 0) return handle.fd;
  throw new PeerCredentialsError(
    'peer_socket',
    'the connection has no descriptor (already closed)',
  );
}

/** The length the kernel wrote, or -1. */
function getSocketOption(descriptor: number, option: number, value: Buffer): number {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length, 0);
  return native().getsockopt(descriptor, solSocket, option, value, length) === 0
    ? length.readUInt32LE(0)
    : -1;
}

interface Native {
  getsockopt(
    descriptor: number,
    level: number,
    option: number,
    value: Buffer,
    length: Buffer,
  ): number;
  poll(descriptors: Buffer, count: number, timeoutMs: number): number;
}

let loaded: Native | undefined;

// Loaded on first use, so that commands which never look at a socket do not pay for it.
function native(): Native {
  if (loaded === undefined) {
    const libc = koffi.load(null);
    loaded = {
      getsockopt: libc.func('int getsockopt(int, int, int, void*, void*)') as Native['getsockopt'],
      poll: libc.func('int poll(void*, unsigned long, int)') as Native['poll'],
    };
  }
  return loaded;
}

const solSocket = 1;
const soPeerCred = 17;
const soPeerPidfd = 77;
const pollIn = 1;
